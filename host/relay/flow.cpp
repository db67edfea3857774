#include "relay/flow.hpp"

#include <algorithm>
#include <cstring>

namespace ferry::host {

Flow::Flow(Connection& source, Connection& sink) : source_(source), sink_(sink), splice_(source, sink) {
  if (source.kind() == FERRY_RECORDS) largest_record_ = source.info().max_record;
  if (sink.kind() == FERRY_RECORDS) largest_write_ = sink.info().max_record;
}

Flow::Wait Flow::run(Scratch& scratch) {
  Wait wait = Wait::source;
  drained_ = false;
  const std::uint64_t turn_ends_at = ledger_.in + turn_budget_bytes;
  while (step(scratch, wait)) {
    if (ledger_.in >= turn_ends_at) return pending_ ? Wait::sink : Wait::source;
  }
  return wait;
}

// True when more may be possible at once; else `wait` says what is missing.
bool Flow::step(Scratch& scratch, Wait& wait) {
  if (pending_ && !flush(wait)) return false;
  if (source_.lends()) return lend_from_source(wait);
  if (sink_.lends() && source_.kind() == FERRY_STREAM) return read_into_sink(wait);
  if (splicing_) {
    const Splice::Moved moved = splice_.move(scratch.pipe, turn_budget_bytes);
    if (moved.in > 0) return account(moved, scratch.pipe, wait);
    if (moved.sink_is_full) return sink_stopped(Status::would_block, wait);
  }
  return copy(scratch, wait);
}

IoResult Flow::write_now(ConstBytes bytes) {
  const ConstBytes piece = bytes.first(std::min(bytes.size(), largest_write_));
  const IoResult written = sink_.write_some({&piece, 1}, Deadline::no_wait());
  ledger_.out += written.size;
  return written;
}

bool Flow::flush(Wait& wait) {
  do {
    const IoResult written = write_now({pending_.get() + pending_begin_, pending_end_ - pending_begin_});
    pending_begin_ += written.size;
    if (!written) return sink_stopped(written.status, wait);
  } while (pending_begin_ < pending_end_);
  pending_.reset();
  return true;
}

bool Flow::lend_from_source(Wait& wait) {
  ConstBytes view;
  const Status status = source_.peek(view, 1, Deadline::no_wait());
  if (status != Status::ok) return source_stopped(status, wait);
  const IoResult written = write_now(view);
  source_.consume(written.size);
  ledger_.in += written.size;
  return written || sink_stopped(written.status, wait);
}

bool Flow::read_into_sink(Wait& wait) {
  MutableBytes room;
  const Status reserved = sink_.reserve(room, 1, Deadline::no_wait());
  if (reserved != Status::ok) return sink_stopped(reserved, wait);
  const IoResult got = source_.read(room, Deadline::no_wait());
  ledger_.in += got.size;
  const Status committed = sink_.commit(got.size, Deadline::no_wait());
  if (!got) return source_stopped(got.status, wait);
  if (committed != Status::ok) return sink_stopped(committed, wait);
  ledger_.out += got.size;
  return true;
}

bool Flow::account(const Splice::Moved& moved, SharedPipe& between, Wait& wait) {
  ledger_.in += moved.in;
  ledger_.out += moved.out;
  ledger_.spliced += moved.out;
  burst_bytes_ += moved.in;
  if (moved.in == moved.out) return true;
  if (between.drain(keep_pending(moved.in - moved.out))) return true;
  pending_.reset();
  return source_stopped(Status::io, wait);
}

bool Flow::copy(Scratch& scratch, Wait& wait) {
  const bool peeked = source_.holds_unread();
  const MutableBytes memory = scratch.take(largest_record_);
  const IoResult got = source_.read(memory, Deadline::no_wait());
  burst_bytes_ += got.size;
  splicing_ = splice_.possible() && !peeked && burst_bytes_ >= worth_splicing_bytes;
  if (!got) burst_bytes_ = 0;
  if (!got) return source_stopped(got.status, wait);
  ledger_.in += got.size;
  if (got.size == 0 && sink_.kind() == FERRY_STREAM) return true;  // an empty record is nothing to a stream
  const IoResult written = write_now(memory.first(got.size));
  if (written && written.size == got.size) return true;
  const MutableBytes rest = keep_pending(got.size - written.size);
  std::memcpy(rest.data(), memory.data() + written.size, rest.size());
  return written || sink_stopped(written.status, wait);
}

MutableBytes Flow::keep_pending(std::size_t size) {
  pending_ = std::make_unique_for_overwrite<std::byte[]>(size);
  pending_begin_ = 0;
  pending_end_ = size;
  return {pending_.get(), size};
}

bool Flow::source_stopped(Status status, Wait& wait) {
  drained_ = status == Status::would_block;
  if (drained_) {
    wait = Wait::source;
    return false;
  }
  finished_ = true;
  if (status != Status::end) {
    status_ = status;
    wait = Wait::source_failed;
  } else if (source_.half_closes() && sink_.half_closes()) {
    status_ = sink_.shutdown_write();
    wait = Wait::ended;
  } else {
    wait = Wait::both_ended;
  }
  return false;
}

bool Flow::sink_stopped(Status status, Wait& wait) {
  wait = status == Status::would_block ? Wait::sink : Wait::sink_failed;
  if (wait == Wait::sink_failed) {
    finished_ = true;
    status_ = status;
  }
  return false;
}

}  // namespace ferry::host
