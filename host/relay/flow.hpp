// One direction of a relayed pair: bytes from a source to a sink, with as few copies as the two transports allow.
//
//   source lends               written from the source's own memory, consumed as far as the sink took them
//   sink lends                 read straight into the sink's memory
//   both splice, much comes    moved inside the kernel; see splice.hpp
//   else                       read into the reactor's shared scratch and written from it
//
// What the sink does not take at once of bytes that left the source is copied into a buffer of the flow's own, given
// back when it has drained. Invariant: while bytes are pending nothing more is read. That is the back-pressure, and it
// bounds the memory of a flow to one scratch buffer or shared pipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ferry/connection.hpp"
#include "relay/ledger.hpp"
#include "relay/splice.hpp"

namespace ferry::host {

/// Memory that all flows of a reactor read into, and a pipe that they move bytes over, one at a time.
class Scratch {
 public:
  static constexpr std::size_t bytes = 64u << 10;
  Scratch() : memory_(bytes) {}
  /// At least `minimum` bytes, for records larger than the usual.
  MutableBytes take(std::size_t minimum) {
    if (memory_.size() < minimum) memory_.resize(minimum);
    return memory_;
  }
  SharedPipe pipe;

 private:
  std::vector<std::byte> memory_;
};

class Flow {
 public:
  /// What must happen before run() can do more.
  enum class Wait : std::uint8_t {
    source,         ///< the source has nothing (or had its turn): wait until it can be read
    sink,           ///< the sink is full: wait until it can be written
    ended,          ///< the source ended and the sink was told; status() is ok, or why it could not be told
    both_ended,     ///< the source ended, and a transport without half-close makes that the end of both directions
    source_failed,  ///< status() says why
    sink_failed,
  };

  /// Neither connection is owned; both outlive the flow.
  Flow(Connection& source, Connection& sink);

  /// Moves what can be moved without waiting, up to a fair share of one loop turn.
  Wait run(Scratch& scratch);

  bool finished() const noexcept { return finished_; }
  /// True when the last run() left nothing behind: the source had no more, and the sink has all.
  bool drained() const noexcept { return drained_; }
  Status status() const noexcept { return status_; }
  const FlowLedger& ledger() const noexcept { return ledger_; }

 private:
  static constexpr std::size_t turn_budget_bytes = 256u << 10;
  static constexpr std::size_t worth_splicing_bytes = 16u << 10;  // at once; below it a copy is cheaper

  bool step(Scratch& scratch, Wait& wait);
  bool flush(Wait& wait);
  bool lend_from_source(Wait& wait);
  bool read_into_sink(Wait& wait);
  bool account(const Splice::Moved& moved, SharedPipe& between, Wait& wait);
  bool copy(Scratch& scratch, Wait& wait);
  MutableBytes keep_pending(std::size_t size);
  bool source_stopped(Status status, Wait& wait);
  bool sink_stopped(Status status, Wait& wait);
  IoResult write_now(ConstBytes bytes);

  Connection& source_;
  Connection& sink_;
  Splice splice_;
  bool splicing_ = false;
  std::size_t burst_bytes_ = 0;           // since the source last had nothing
  std::size_t largest_record_ = 0;        // of the source; 0: a stream
  std::size_t largest_write_ = SIZE_MAX;  // what the sink takes as one record
  std::unique_ptr<std::byte[]> pending_;
  std::size_t pending_begin_ = 0;
  std::size_t pending_end_ = 0;
  FlowLedger ledger_;
  Status status_ = Status::ok;
  bool finished_ = false;
  bool drained_ = false;
};

}  // namespace ferry::host
