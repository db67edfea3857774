// The streams of a connection: the primary one that comes with it, those that we open and those that the peer does.
#include <algorithm>

#include "quic_session.hpp"

namespace ferry::quic {
namespace {

// So many windows of unread bytes may be under way on all streams of a connection together: one that is not read then
// holds up no other. Before there are further streams it is one.
constexpr std::uint64_t windows_per_connection = 4;
// Consumption of a further stream is reported in steps so small that what is unreported on hundreds of them does not
// use up the connection's window.
constexpr std::uint64_t credit_steps_per_connection = 1024;

}  // namespace

std::shared_ptr<Stream> Session::make_stream(std::int64_t id, std::uint64_t credit_step) {
  auto stream = std::make_shared<Stream>(engine_, shared_from_this(), settings_->send_buffer, credit_step);
  stream->id = id;
  streams_.push_back(stream);
  return stream;
}

void Session::use_streams() noexcept {
  if (std::exchange(uses_streams_, true)) return;
  ngtcp2_conn_extend_max_offset(conn_, (windows_per_connection - 1) * settings_->window);
}

/// Its application may have given up waiting and come again any number of times.
void Session::expect_news(Stream& asking) {
  asking.expect_news();
  const auto is_asking = [&](const auto& opener) { return opener.get() == &asking; };
  if (std::none_of(openers_.begin(), openers_.end(), is_asking)) openers_.push_back(asking.shared_from_this());
}

void Session::tell_openers() noexcept {
  for (const auto& stream : openers_) stream->tell_news();
  openers_.clear();
}

ferry_status Session::open_stream(Stream& asking, std::shared_ptr<Stream>& out) {
  const bool is_early = phase() == Phase::early;
  if (conn_ == nullptr || (phase() != Phase::established && !is_early)) return FERRY_RESET;
  if (is_early || ngtcp2_conn_get_streams_bidi_left(conn_) == 0) {
    expect_news(asking);
    return FERRY_WOULD_BLOCK;
  }
  use_streams();
  out = make_stream(-1, windows_per_connection * settings_->window / credit_steps_per_connection);
  if (ngtcp2_conn_open_bidi_stream(conn_, &out->id, out.get()) != 0) {
    streams_.pop_back();
    return FERRY_NO_RESOURCES;
  }
  handle_made();
  out->must_announce = true;
  queue(*out);
  engine_.flush_later(*this);
  return FERRY_OK;
}

std::shared_ptr<StreamQueue> Session::listen_for_streams() {
  if (peers_streams_ != nullptr) return nullptr;
  peers_streams_ = std::make_shared<StreamQueue>();
  handle_made();
  if (!sends_early_) let_streams_in();
  return peers_streams_;
}

void Session::let_streams_in() noexcept {
  use_streams();
  ngtcp2_conn_extend_max_streams_bidi(conn_, settings_->streams);
  engine_.flush_later(*this);
}

void Session::stop_listening_for_streams(StreamQueue& queue) noexcept {
  while (const std::shared_ptr<Stream> stream = queue.take()) handle_closed(stream.get(), true);
  listens_no_more_ = true;
  handle_closed(nullptr, false);
}

/// False when the peer had no right to, which ngtcp2 sees to by itself.
bool Session::peer_opened(std::int64_t id) {
  const bool is_primary = server_ && id == 0;
  if (is_primary) {
    primary_->id = id;
  } else if (peers_streams_ == nullptr) {
    return false;
  } else if (listens_no_more_) {
    return ngtcp2_conn_shutdown_stream(conn_, id, 0) == 0;  // with its user data null
  }
  const std::uint64_t step = windows_per_connection * settings_->window / credit_steps_per_connection;
  const std::shared_ptr<Stream> stream = is_primary ? primary_ : make_stream(id, step);
  (void)ngtcp2_conn_set_stream_user_data(conn_, id, stream.get());
  if (!is_primary) {
    handle_made();  // that of the queue
    peers_streams_->push(stream);
    return true;
  }
  receive_early();
  if (stream->pending_reset >= 0) (void)reset_stream(*stream, static_cast<std::uint64_t>(stream->pending_reset));
  if (stream->pending_stop >= 0) (void)stop_stream(*stream, static_cast<std::uint64_t>(stream->pending_stop));
  queue(*stream);
  return true;
}

void Session::peer_stopped(const StopSending& stop) noexcept {
  for (const auto& stream : streams_) {
    if (stream->id != stop.stream_id) continue;
    stream->note_code(FERRY_WRITE, stop.code);
    stream->end_writing();
    return;
  }
}

ferry_status Session::reset_stream(Stream& stream, std::uint64_t code) noexcept {
  if (conn_ == nullptr || stream.closed) return FERRY_RESET;
  stream.end_output();
  if (stream.id < 0 || sends_early_) stream.pending_reset = static_cast<std::int64_t>(code);
  if (stream.id < 0) return FERRY_OK;
  (void)ngtcp2_conn_shutdown_stream_write(conn_, stream.id, code);
  stream.end_writing();
  engine_.flush_later(*this);
  return FERRY_OK;
}

ferry_status Session::stop_stream(Stream& stream, std::uint64_t code) noexcept {
  const bool is_gone = conn_ == nullptr || stream.closed;
  stream.stop_reading();
  if (is_gone) return FERRY_RESET;
  if (stream.id < 0 || sends_early_) stream.pending_stop = static_cast<std::int64_t>(code);
  if (stream.id < 0) return FERRY_OK;
  (void)ngtcp2_conn_shutdown_stream_read(conn_, stream.id, code);
  serve(stream);
  return FERRY_OK;
}

/// The application lets go of the stream; other handles may keep the connection.
void Session::close_stream(Stream& stream, bool abort) noexcept {
  stream.released = true;
  stream.drop_input();
  if (conn_ == nullptr) return;
  // The peer reset its only stream before it sent anything. ngtcp2 0.12 has no such stream, so nothing can be said on
  // it any more, and a peer that waits for our direction hears of the end with the connection.
  const bool is_lost = stream.id < 0 && stream.reading() == Direction::reset && streams_.size() == 1;
  if (is_lost) return close_with({}, now_ns());
  const bool is_last = handles_ == 1;
  if (abort && !is_last) {  // with the last, the connection goes as a whole
    (void)reset_stream(stream, code_of_abort);
    (void)stop_stream(stream, code_of_abort);
  } else if (!abort) {
    stream.end_output();
    const bool may_stop = !is_last || stream.is_fin_acknowledged() || stream.writing() != Direction::open;
    if (may_stop && stream.reading() == Direction::open) (void)ngtcp2_conn_shutdown_stream_read(conn_, stream.id, 0);
  }
  serve(stream);
  if (stream.closed) retire(stream);
}

/// Neither ngtcp2 nor the application needs the stream any more; the peer may open another.
void Session::retire(Stream& stream) noexcept {
  const bool lets_another = &stream != primary_.get() && is_peers(stream.id);
  std::erase(ready_, &stream);
  stream.in_ready_list = false;
  std::erase_if(streams_, [&](const auto& other) { return other.get() == &stream; });  // may be its end
  if (lets_another && conn_ != nullptr) ngtcp2_conn_extend_max_streams_bidi(conn_, 1);
}

/// Whether the peer has not come to its own end on some stream.
bool Session::reads_on() const noexcept {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const auto& stream) { return !stream->closed && stream->reading() == Direction::open; });
}

bool Session::has_written_all() const noexcept {
  return std::all_of(streams_.begin(), streams_.end(), [](const auto& stream) {
    return stream->closed || stream->is_fin_acknowledged() || stream->writing() != Direction::open;
  });
}

}  // namespace ferry::quic
