// Takes clients from a rendezvous FIFO.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "npipe_connection_posix.hpp"

namespace ferry::npipe {

/// Members are the ABI's listener operations; abi.h has their contracts.
class PipeListener : public plugin::Listener<PipeListener> {
 public:
  PipeListener(const ferry_host& host, const Address& address, plugin::Options values);

  std::unique_ptr<PipeConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() const noexcept { return waiting_ ? FERRY_READY : FERRY_ARMED; }
  ferry_status pollable(ferry_pollable& out) const noexcept;
  void interrupt() noexcept { interrupt_.raise(); }
  std::string local_address() const { return address_; }
  void effective(ferry_value* values, std::uint32_t count) const noexcept;
  void reconfigure(plugin::Options values) noexcept;

 private:
  ferry_status next_request(std::int64_t deadline_ns);
  std::unique_ptr<PipeConnection> take();
  void complain(const std::string& what) const;

  const ferry_host& host_;
  const std::string address_;
  Rendezvous rendezvous_;
  const std::int64_t backlog_;
  std::atomic<std::int64_t> pipe_bytes_;  // reconfigure may come from any thread
  plugin::Interrupt interrupt_;
  // The acceptor's own:
  RequestReader reader_;
  PairId id_{};           // of the client that waits
  bool waiting_ = false;  // for a descriptor, since accept said that there was none
  bool untidy_ = false;   // clients have come since the last tidying
};

/// Fills the values that a listener or transport can tell: what a FIFO that was asked for `pipe_bytes` got, and how
/// many requests the rendezvous FIFO holds.
void fill_effective(std::int64_t pipe_bytes, std::int64_t backlog, ferry_value* values, std::uint32_t count) noexcept;

/// Makes `fifo` hold `backlog` requests, and returns how many it holds now.
std::int64_t resize_backlog(int fifo, std::int64_t backlog) noexcept;

}  // namespace ferry::npipe
