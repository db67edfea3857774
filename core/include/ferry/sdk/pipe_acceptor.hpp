// Serving and opening Windows named pipes.
//
// One instance of the pipe always waits for a client; the next one is made before a connected one is handed out, so the
// name never goes away and a client finds the pipe at worst busy, which it waits out.
#pragma once

#include <cstdint>
#include <string>

#include "ferry/abi.h"
#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/security_descriptor.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {

struct PipeSettings {
  DWORD bytes = 0;      ///< that each direction should hold: a hint
  bool remote = false;  ///< clients of other machines may come in
};

/// Members are the ABI's listener operations and carry their thread tags; a plugin's listener forwards to them.
class PipeAcceptor {
 public:
  /// `name` as the system has it. Throws Failure: ADDRESS_IN_USE when anybody serves it, PERMISSION, NO_RESOURCES, IO.
  PipeAcceptor(std::wstring name, const PipeSettings& settings, SecurityDescriptor security);
  PipeAcceptor(const PipeAcceptor&) = delete;
  PipeAcceptor& operator=(const PipeAcceptor&) = delete;
  ~PipeAcceptor();

  /// The instance that waits for the next client.
  HANDLE waiting() const noexcept { return waiting_.get(); }
  const SecurityDescriptor& security() const noexcept { return security_; }

  /// A connected instance in byte mode, for overlapped operations, or none and why. Throws Failure(NO_RESOURCES), and
  /// the client stays where it is. [acceptor]
  UniqueHandle accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept;                                // [acceptor]
  ferry_status pollable(ferry_pollable& out) const noexcept;  // [any-thread]
  void interrupt() noexcept { interrupt_.raise(); }           // [any-thread]

 private:
  UniqueHandle make_instance(bool first) const;
  bool has_news() noexcept;

  const std::wstring name_;
  const PipeSettings settings_;
  const SecurityDescriptor security_;
  const UniqueHandle event_ = make_event();  // set when a client came, reset when the wait for the next begins
  Interrupt interrupt_;
  UniqueHandle waiting_;
  OVERLAPPED connecting_{};
  bool under_way_ = false;
  bool has_client_ = false;
  int failure_ = 0;  // of the wait; accept tells of it and begins again
};

/// Who may be at the other end of a pipe that is opened.
enum class PipeServer : std::uint8_t {
  trusted,  ///< this user, an administrator or the system
  anybody,
};

/// Opens a pipe as its client, waiting while every instance is busy; none and INTERRUPTED when `cancel` says so. The
/// server may ask who we are, and can do nothing in our name. Throws Failure: NOT_FOUND, TIMED_OUT, WOULD_BLOCK,
/// INVALID (no pipe), PERMISSION and what else the system says. Blocks until the deadline. Any thread.
UniqueHandle open_pipe(const std::wstring& name, PipeServer server, std::int64_t deadline_ns,
                       const ferry_cancel* cancel, ferry_status& why_not);

/// The same for a pipe of another machine, whoever serves it there. What reaches that machine takes its own time and
/// asks neither deadline nor cancellation, so a thread does it, which may outlive the call. Needs waiting; throws
/// NO_RESOURCES as well.
UniqueHandle open_remote_pipe(const std::wstring& name, std::int64_t deadline_ns, const ferry_cancel* cancel,
                              ferry_status& why_not);

/// The id of the process at the other end of a connected pipe; 0: unknown, for example on another machine. Any thread.
ULONG peer_process(HANDLE pipe) noexcept;

}  // namespace ferry::plugin
