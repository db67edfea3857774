// A connection that does what a test's script says: deterministic, in one process, without a system call on the data
// plane. Every read and write follows the script; what the caller did is recorded beside it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/connection.hpp"
#include "ferry/plugin.hpp"
#include "support/test_event.hpp"

namespace ferry::test {

/// What happens on a connection, shared between the test and the connection. One thread at a time.
struct Script {
  /// One thing reads meet, in order.
  struct Read {
    std::string bytes;               ///< delivered as far as the reader's buffer goes; the rest is met next (streams)
    ferry_status status = FERRY_OK;  ///< not ok: returned once instead of bytes
  };
  std::deque<Read> reads;
  ferry_status after_reads = FERRY_END;  ///< what reads return when `reads` is used up
  /// How many bytes each write accepts at most, or the negative status it returns; used up: everything.
  std::deque<std::int64_t> writes;
  std::deque<std::int32_t> arms;  ///< results of arm; used up: FERRY_ARMED
  ferry_status finish_status = FERRY_OK;
  ferry_connection_kind kind = FERRY_STREAM;
  std::uint64_t max_record = 0;
  std::uint64_t frame_alignment = 1;
  std::uint64_t max_view = 0;  ///< of a LendingScriptedConnection

  // Recorded.
  std::string written;
  std::vector<std::string> records;         ///< of each write, accepted part
  std::vector<std::uint32_t> write_counts;  ///< pieces of each write
  std::vector<std::uint32_t> write_flags;
  std::vector<std::int64_t> deadlines;  ///< of each read and write
  std::uint32_t read_calls = 0;
  std::uint32_t write_calls = 0;
  std::uint32_t largest_read = 0;  ///< size of the largest buffer that a read offered, clipped to 32 bits
  bool finished = false;
  bool closed = false;
  bool aborted = false;
  bool write_ended = false;
  std::atomic<bool> interrupted = false;

  void deliver(std::string_view bytes) { reads.push_back({std::string(bytes), FERRY_OK}); }
  void deliver(ferry_status status) { reads.push_back({{}, status}); }
};

template <class Derived>
class BasicScriptedConnection : public plugin::Connection<Derived> {
 public:
  explicit BasicScriptedConnection(std::shared_ptr<Script> script) : script_(std::move(script)) { event_.set(); }
  ~BasicScriptedConnection() { script_->closed = true; }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    Script& s = *script_;
    ++s.read_calls;
    s.deadlines.push_back(deadline);
    s.largest_read = std::max(s.largest_read, static_cast<std::uint32_t>(std::min<std::uint64_t>(size, UINT32_MAX)));
    if (s.interrupted) return FERRY_INTERRUPTED;
    if (s.reads.empty()) return s.after_reads;
    Script::Read& next = s.reads.front();
    if (next.status != FERRY_OK) {
      const ferry_status status = next.status;
      s.reads.pop_front();
      return status;
    }
    if (s.kind == FERRY_RECORDS && next.bytes.size() > size) return FERRY_TOO_LARGE;
    const std::size_t count = std::min<std::size_t>(size, next.bytes.size());
    std::memcpy(data, next.bytes.data(), count);
    next.bytes.erase(0, count);
    if (next.bytes.empty()) s.reads.pop_front();
    return static_cast<std::int64_t>(count);
  }

  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    Script& s = *script_;
    ++s.write_calls;
    s.deadlines.push_back(deadline);
    s.write_counts.push_back(count);
    s.write_flags.push_back(flags);
    if (s.interrupted) return FERRY_INTERRUPTED;
    std::int64_t limit = INT64_MAX;
    if (!s.writes.empty()) {
      limit = s.writes.front();
      s.writes.pop_front();
      if (limit < 0) return limit;
    }
    std::string accepted;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto room = static_cast<std::size_t>(limit) - accepted.size();
      accepted.append(static_cast<const char*>(pieces[i].data), std::min<std::size_t>(pieces[i].size, room));
    }
    s.written += accepted;
    s.records.push_back(accepted);
    return static_cast<std::int64_t>(accepted.size());
  }

  std::int32_t arm(ferry_interest) {
    if (script_->arms.empty()) return FERRY_ARMED;
    const std::int32_t result = script_->arms.front();
    script_->arms.pop_front();
    return result;
  }
  /// Always ready: the script alone decides what is met.
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) {
    out.handle = event_.handle();
    out.events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
    return FERRY_OK;
  }
  ferry_status shutdown_write() {
    script_->write_ended = true;
    return FERRY_OK;
  }
  void interrupt() { script_->interrupted = true; }
  ferry_status finish(std::int64_t) {
    script_->finished = true;
    return script_->finish_status;
  }
  void abort_now() { script_->aborted = true; }
  void describe(ferry_connection_info& info) {
    info.kind = script_->kind;
    info.max_record = script_->max_record;
    info.max_view = script_->max_view;
    info.frame_alignment = script_->frame_alignment;
  }

 protected:
  std::shared_ptr<Script> script_;

 private:
  TestEvent event_;
};

class ScriptedConnection : public BasicScriptedConnection<ScriptedConnection> {
 public:
  using BasicScriptedConnection::BasicScriptedConnection;
};

/// Lends the script's bytes, up to max_view of them at a time.
class LendingScriptedConnection : public BasicScriptedConnection<LendingScriptedConnection> {
 public:
  using BasicScriptedConnection::BasicScriptedConnection;

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    if (arrived_.empty()) return BasicScriptedConnection::read(data, size, deadline);
    const std::size_t count = std::min<std::size_t>(size, arrived_.size());
    std::memcpy(data, arrived_.data(), count);
    arrived_.erase(0, count);
    return static_cast<std::int64_t>(count);
  }

  static const void* extension(std::string_view id) {
    static const ferry_lend table{sizeof(ferry_lend),
                                  0,
                                  [](ferry_connection* c, std::uint64_t minimum, const void** data, std::uint64_t* size,
                                     std::int64_t deadline) { return from(c).peek(minimum, data, size, deadline); },
                                  [](ferry_connection* c, std::uint64_t size) { from(c).arrived_.erase(0, size); },
                                  [](ferry_connection* c, std::uint64_t minimum, void** data, std::uint64_t* size,
                                     std::int64_t) { return from(c).reserve(minimum, data, size); },
                                  [](ferry_connection* c, std::uint64_t size, std::uint32_t) -> ferry_status {
                                    from(c).script_->written.append(from(c).building_, 0, size);
                                    return FERRY_OK;
                                  },
                                  nullptr};
    return id == FERRY_EXT_LEND ? &table : nullptr;
  }

 private:
  ferry_status peek(std::uint64_t minimum, const void** data, std::uint64_t* size, std::int64_t deadline) {
    if (minimum > script_->max_view) return FERRY_TOO_LARGE;
    while (arrived_.size() < minimum) {
      char piece[4096];
      const std::int64_t count = BasicScriptedConnection::read(piece, sizeof(piece), deadline);
      if (count < 0) return static_cast<ferry_status>(count);
      arrived_.append(piece, static_cast<std::size_t>(count));
    }
    *data = arrived_.data();
    *size = std::min<std::uint64_t>(arrived_.size(), script_->max_view);
    return FERRY_OK;
  }
  ferry_status reserve(std::uint64_t minimum, void** data, std::uint64_t* size) {
    if (minimum > script_->max_view) return FERRY_TOO_LARGE;
    building_.resize(script_->max_view);
    *data = building_.data();
    *size = building_.size();
    return FERRY_OK;
  }

  std::string arrived_;
  std::string building_;
};

/// A ferry::Connection that follows `script`; `Kind` may be LendingScriptedConnection.
template <class Kind = ScriptedConnection>
ferry::Connection scripted(std::shared_ptr<Script> script, ferry::Connection::Settings settings = {}) {
  return ferry::Connection((new Kind(std::move(script)))->abi(), nullptr, settings, "scripted://");
}

}  // namespace ferry::test
