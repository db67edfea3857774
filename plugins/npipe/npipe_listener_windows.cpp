#include "npipe_listener_windows.hpp"

#include <algorithm>

#include "npipe_options_windows.hpp"

namespace ferry::npipe {
namespace {

using plugin::Failure;

const Address& served_here(const Address& address) {
  if (!address.host.empty() && address.host != ".") {
    throw Failure(FERRY_UNSUPPORTED, "a pipe is served on its own machine; listen at ./pipe/" + address.name);
  }
  return address;
}

plugin::PipeSettings settings_of(plugin::Options values) noexcept {
  return {static_cast<DWORD>(values.integer(option_pipe_size)), values.flag(option_remote)};
}

}  // namespace

std::wstring system_name(const Address& address) {
  if (!address.path.empty()) {
    throw Failure(FERRY_UNSUPPORTED, "Windows has no pipes at paths; write ./pipe/<name>, or use uds for a path");
  }
  return plugin::wide("\\\\" + address.host + "\\pipe\\" + address.name);
}

PipeListener::PipeListener(const Address& address, plugin::Options values)
    : address_(to_text(address)),
      remote_(values.flag(option_remote)),
      acceptor_(system_name(served_here(address)), settings_of(values),
                plugin::SecurityDescriptor(values.text(option_security))) {}

std::unique_ptr<PipeConnection> PipeListener::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  plugin::UniqueHandle connected = acceptor_.accept(deadline_ns, why_not);
  return connected ? std::make_unique<PipeConnection>(std::move(connected), End::server, address_) : nullptr;
}

void PipeListener::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  DWORD out = 0, in = 0;
  if (option_pipe_size < count && ::GetNamedPipeInfo(acceptor_.waiting(), nullptr, &out, &in, nullptr) != FALSE) {
    values[option_pipe_size] = {out, nullptr, 1, 0};
  }
  if (option_remote < count) values[option_remote] = {remote_, nullptr, 1, 0};
}

}  // namespace ferry::npipe
