#include "ferry/connection.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "ferry/registry.hpp"
#include "plugin_check.hpp"

namespace ferry {

namespace {

/// A window of at most FERRY_MAX_IOVECS pieces over a longer list, advancing by bytes.
class PieceWindow {
 public:
  PieceWindow(std::span<const ConstBytes> pieces) noexcept : rest_(pieces) { refill(); }

  bool empty() const noexcept { return first_ == count_; }
  bool is_last() const noexcept { return rest_.empty(); }
  const ferry_iovec* data() const noexcept { return window_.data() + first_; }
  std::uint32_t count() const noexcept { return count_ - first_; }

  void advance(std::size_t size) noexcept {
    while (size > 0) {
      ferry_iovec& piece = window_[first_];
      if (size < piece.size) {
        piece.data = static_cast<const std::byte*>(piece.data) + size;
        piece.size -= size;
        return;
      }
      size -= piece.size;
      ++first_;
    }
    if (empty()) refill();
  }

 private:
  void refill() noexcept {
    first_ = count_ = 0;
    while (!rest_.empty() && count_ < FERRY_MAX_IOVECS) {
      if (!rest_.front().empty()) window_[count_++] = {rest_.front().data(), rest_.front().size()};
      rest_ = rest_.subspan(1);
    }
  }

  std::span<const ConstBytes> rest_;
  std::array<ferry_iovec, FERRY_MAX_IOVECS> window_;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

std::uint32_t write_flags(bool more) noexcept { return more ? std::uint32_t{FERRY_WRITE_MORE} : 0; }

}  // namespace

Connection::Connection(ferry_connection* raw, const Plugin* plugin, Settings settings, std::string descriptor)
    : raw_(raw),
      read_wait_(settings.wait),
      settings_(settings),
      plugin_(plugin),
      descriptor_(std::move(descriptor)),
      write_wait_(settings.wait) {
  const std::string problem = problem_of(raw, plugin != nullptr ? plugin->abi().capabilities : 0);
  if (!problem.empty()) {
    const bool can_close = FERRY_HAS(raw, ferry_connection, ops) && FERRY_HAS(raw->ops, ferry_connection_ops, close);
    if (can_close) raw->ops->close(raw);
    raw_ = nullptr;
    throw Error(Status::internal, "use connection", descriptor_, problem + "; update the plugin");
  }
  ops_ = raw->ops;
  const ferry_connection_info facts = info();
  kind_ = facts.kind;
  max_record_ = facts.max_record;
  lend_ = extension<ferry_lend>(FERRY_EXT_LEND);
  const bool lends_whole = FERRY_HAS(lend_, ferry_lend, peek) && FERRY_HAS(lend_, ferry_lend, consume) &&
                           FERRY_HAS(lend_, ferry_lend, reserve) && FERRY_HAS(lend_, ferry_lend, commit);
  if (!lends_whole) lend_ = nullptr;
  if (FERRY_HAS(lend_, ferry_lend, publish)) publish_ = lend_->publish;
}

Connection::Connection(Connection&& other) noexcept { *this = std::move(other); }

Connection& Connection::operator=(Connection&& other) noexcept {
  if (this == &other) return *this;
  (void)close();
  raw_ = std::exchange(other.raw_, nullptr);
  ops_ = other.ops_;
  lend_ = other.lend_;
  kind_ = other.kind_;
  read_wait_ = other.read_wait_;
  peeked_ = std::exchange(other.peeked_, {});
  settings_ = other.settings_;
  max_record_ = other.max_record_;
  plugin_ = other.plugin_;
  descriptor_ = std::move(other.descriptor_);
  write_wait_ = other.write_wait_;
  reserved_ = std::exchange(other.reserved_, {});
  publish_ = other.publish_;
  room_at_ = std::exchange(other.room_at_, nullptr);
  room_end_ = std::exchange(other.room_end_, nullptr);
  ample_until_ = std::exchange(other.ample_until_, nullptr);
  return *this;
}

Connection::~Connection() { (void)close(); }

std::int64_t Connection::wait_to_read(void* data, std::size_t size, std::int64_t deadline_ns) {
  std::int64_t count = FERRY_WOULD_BLOCK;
  const bool found = read_wait_.spin(deadline_ns, [&] {
    count = ops_->read(raw_, data, size, FERRY_NO_WAIT);
    return count != FERRY_WOULD_BLOCK;
  });
  return found ? count : ops_->read(raw_, data, size, deadline_ns);
}

std::int64_t Connection::wait_to_write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                                       std::int64_t deadline_ns) {
  std::int64_t written = FERRY_WOULD_BLOCK;
  const bool found = write_wait_.spin(deadline_ns, [&] {
    written = ops_->write(raw_, pieces, count, flags, FERRY_NO_WAIT);
    return written != FERRY_WOULD_BLOCK;
  });
  return found ? written : ops_->write(raw_, pieces, count, flags, deadline_ns);
}

ferry_status Connection::wait_to_peek(std::size_t minimum, const void*& data, std::uint64_t& size,
                                      std::int64_t deadline_ns) {
  ferry_status status = FERRY_WOULD_BLOCK;
  const auto attempt = [&](std::int64_t until) { return lend_->peek(raw_, minimum, &data, &size, until); };
  const bool found =
      read_wait_.spin(deadline_ns, [&] { return (status = attempt(FERRY_NO_WAIT)) != FERRY_WOULD_BLOCK; });
  return found ? status : attempt(deadline_ns);
}

ferry_status Connection::wait_to_reserve(std::size_t minimum, void*& data, std::uint64_t& size,
                                         std::int64_t deadline_ns) {
  ferry_status status = FERRY_WOULD_BLOCK;
  const auto attempt = [&](std::int64_t until) { return lend_->reserve(raw_, minimum, &data, &size, until); };
  const bool found =
      write_wait_.spin(deadline_ns, [&] { return (status = attempt(FERRY_NO_WAIT)) != FERRY_WOULD_BLOCK; });
  return found ? status : attempt(deadline_ns);
}

Status Connection::reserve_anew(MutableBytes& view, std::size_t minimum, Deadline deadline) {
  if (lend_ == nullptr) return reserve_emulated(view, minimum);
  forget_room();
  void* data = nullptr;
  std::uint64_t size = 0;
  const bool sleeps = deadline.ns() == FERRY_NO_WAIT || write_wait_.sleeps_at_once();
  ferry_status status = lend_->reserve(raw_, minimum, &data, &size, sleeps ? deadline.ns() : FERRY_NO_WAIT);
  if (status == FERRY_WOULD_BLOCK && !sleeps) status = wait_to_reserve(minimum, data, size, deadline.ns());
  if (status != FERRY_OK) return static_cast<Status>(status);
  view = {static_cast<std::byte*>(data), size};
  if (publish_ != nullptr) {
    room_at_ = view.data();
    room_end_ = room_at_ + size;
    ample_until_ = size > ample_room_bytes ? room_end_ - ample_room_bytes : nullptr;
  }
  return Status::ok;
}

Status Connection::commit_otherwise(std::size_t size, Deadline deadline) {
  return lend_ == nullptr ? commit_emulated(size, deadline) : static_cast<Status>(lend_->commit(raw_, size, 0));
}

IoResult Connection::read_exactly(MutableBytes into, Deadline deadline) {
  std::size_t done = 0;
  while (done < into.size()) {
    const IoResult result = read(into.subspan(done), deadline);
    if (!result) return {result.status, done};
    done += result.size;
  }
  return {Status::ok, done};
}

IoResult Connection::write_rest(ConstBytes bytes, std::int64_t count, Deadline deadline) {
  std::size_t done = 0;
  while (count >= 0) {
    done += static_cast<std::size_t>(count);
    if (done == bytes.size()) return {Status::ok, done};
    const ferry_iovec piece{bytes.data() + done, bytes.size() - done};
    count = write_once(&piece, 1, 0, deadline.ns());
  }
  return {static_cast<Status>(count), done};
}

IoResult Connection::write(std::span<const ConstBytes> pieces, Deadline deadline, bool more) {
  if (kind_ == FERRY_RECORDS) return write_record(pieces, deadline, more);
  std::size_t done = 0;
  for (PieceWindow window(pieces); !window.empty();) {
    const std::uint32_t flags = write_flags(more || !window.is_last());
    const std::int64_t count = write_once(window.data(), window.count(), flags, deadline.ns());
    if (count < 0) return {static_cast<Status>(count), done};
    done += static_cast<std::size_t>(count);
    window.advance(static_cast<std::size_t>(count));
  }
  return {Status::ok, done};
}

IoResult Connection::write_some(std::span<const ConstBytes> pieces, Deadline deadline, bool more) {
  if (kind_ == FERRY_RECORDS) return write_record(pieces, deadline, more);
  const PieceWindow window(pieces);
  if (window.empty()) return {};
  return to_result(write_once(window.data(), window.count(), write_flags(more || !window.is_last()), deadline.ns()));
}

/// A record cannot be split over calls: one of too many pieces is gathered first.
IoResult Connection::write_record(std::span<const ConstBytes> pieces, Deadline deadline, bool more) {
  if (pieces.size() <= FERRY_MAX_IOVECS) {
    std::array<ferry_iovec, FERRY_MAX_IOVECS> window;
    window[0] = {nullptr, 0};
    std::transform(pieces.begin(), pieces.end(), window.begin(), [](ConstBytes piece) {
      return ferry_iovec{piece.data(), piece.size()};
    });
    const auto count = static_cast<std::uint32_t>(std::max<std::size_t>(pieces.size(), 1));
    return to_result(write_once(window.data(), count, write_flags(more), deadline.ns()));
  }
  std::vector<std::byte> whole;
  for (const ConstBytes piece : pieces) whole.insert(whole.end(), piece.begin(), piece.end());
  const ferry_iovec piece{whole.data(), whole.size()};
  return to_result(write_once(&piece, 1, write_flags(more), deadline.ns()));
}

Status Connection::shutdown_write() noexcept {
  forget_room();
  if (!half_closes()) return Status::unsupported;
  return static_cast<Status>(ops_->shutdown_write(raw_));
}

ferry_connection* Connection::release() noexcept {
  peeked_.release();
  reserved_.release();
  forget_room();
  return std::exchange(raw_, nullptr);
}

Status Connection::close() noexcept {
  if (raw_ == nullptr) return Status::ok;
  const Deadline linger = std::chrono::nanoseconds(settings_.linger_ns);
  ferry_connection* raw = release();
  const auto status = static_cast<Status>(ops_->finish(raw, linger.ns()));
  ops_->close(raw);
  return status;
}

void Connection::abort() noexcept {
  if (raw_ != nullptr) ops_->abort(release());
}

ferry_connection_info Connection::info() const {
  ferry_connection_info facts{};
  facts.struct_size = sizeof(facts);
  facts.kind = FERRY_STREAM;
  facts.frame_alignment = 1;
  const auto status = static_cast<Status>(ops_->info(raw_, &facts));
  if (status != Status::ok)
    throw Error(status, "describe connection", descriptor_, std::string(ferry::describe(status)));
  return facts;
}

const void* Connection::extension_table(const char* id) const noexcept {
  return FERRY_HAS(ops_, ferry_connection_ops, get_extension) ? ops_->get_extension(raw_, id) : nullptr;
}

}  // namespace ferry
