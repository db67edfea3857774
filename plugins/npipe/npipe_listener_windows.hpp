// Listening at a pipe's name.
//
// One instance of the pipe always waits for a client; the next one is made before a connected one is handed out, so the
// name never goes away and a client finds the pipe at worst busy, which it waits out.
#pragma once

#include <memory>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "npipe_address.hpp"
#include "npipe_connection_windows.hpp"

namespace ferry::npipe {

/// "\\\\<host>\\pipe\\<name>". Throws plugin::Failure(FERRY_UNSUPPORTED) for a path, which Windows has no pipes at.
std::wstring system_name(const Address& address);

/// Members are the ABI's listener operations; abi.h has their contracts.
class PipeListener : public plugin::Listener<PipeListener> {
 public:
  /// Throws plugin::Failure: ADDRESS_IN_USE, INVALID (the security option), UNSUPPORTED, PERMISSION, NO_RESOURCES, IO.
  PipeListener(const Address& address, plugin::Options values);
  ~PipeListener();

  std::unique_ptr<PipeConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept;
  ferry_status pollable(ferry_pollable& out) const noexcept;
  void interrupt() noexcept { interrupt_.raise(); }
  std::string local_address() const { return address_; }
  void effective(ferry_value* values, std::uint32_t count) const noexcept;

 private:
  struct FreeDescriptor {
    void operator()(void* descriptor) const noexcept { ::LocalFree(descriptor); }
  };

  plugin::UniqueHandle make_instance(bool first);
  bool has_client() noexcept;
  void cancel() noexcept;

  const std::string address_;
  const std::wstring name_;
  const DWORD pipe_bytes_;
  const bool remote_;
  const std::unique_ptr<void, FreeDescriptor> security_;
  const plugin::UniqueHandle event_;  // set when a client came, reset when the wait for the next begins
  plugin::Interrupt interrupt_;
  plugin::UniqueHandle waiting_;
  OVERLAPPED connecting_{};
  bool under_way_ = false;
  bool has_client_ = false;
};

}  // namespace ferry::npipe
