#include "npipe_listener_windows.hpp"

#include <sddl.h>

#include <algorithm>
#include <array>
#include <limits>

#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/os_error.hpp"
#include "npipe_options_windows.hpp"

namespace ferry::npipe {
namespace {

using plugin::Failure;

std::wstring wide(std::string_view text) {
  const auto size = static_cast<int>(text.size());
  std::wstring out(static_cast<std::size_t>(::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0)), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, out.data(), static_cast<int>(out.size()));
  return out;
}

/// An access control list with one entry: this user may do everything.
std::wstring own_descriptor() {
  HANDLE opened = nullptr;
  if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &opened) == FALSE) {
    throw plugin::os_failure(static_cast<int>(::GetLastError()), "cannot tell which user this is");
  }
  const plugin::UniqueHandle token(opened);
  alignas(TOKEN_USER) std::array<std::byte, sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE> user;
  DWORD size = 0;
  wchar_t* text = nullptr;
  if (::GetTokenInformation(token.get(), TokenUser, user.data(), user.size(), &size) == FALSE ||
      ::ConvertSidToStringSidW(reinterpret_cast<const TOKEN_USER*>(user.data())->User.Sid, &text) == FALSE) {
    throw plugin::os_failure(static_cast<int>(::GetLastError()), "cannot tell which user this is");
  }
  std::wstring descriptor = std::wstring(L"D:P(A;;GA;;;") + text + L")";
  ::LocalFree(text);
  return descriptor;
}

void* make_descriptor(std::string_view option) {
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const std::wstring text = option.empty() ? own_descriptor() : wide(option);
  if (::ConvertStringSecurityDescriptorToSecurityDescriptorW(text.c_str(), SDDL_REVISION_1, &descriptor, nullptr) ==
      FALSE) {
    const auto error = static_cast<int>(::GetLastError());
    throw Failure(FERRY_INVALID, "the security option is no SDDL string: " + plugin::os_text(error), error);
  }
  return descriptor;
}

const Address& served_here(const Address& address) {
  if (!address.host.empty() && address.host != ".") {
    throw Failure(FERRY_UNSUPPORTED, "a pipe is served on its own machine; listen at ./pipe/" + address.name);
  }
  return address;
}

}  // namespace

std::wstring system_name(const Address& address) {
  if (!address.path.empty()) {
    throw Failure(FERRY_UNSUPPORTED, "Windows has no pipes at paths; write ./pipe/<name>, or use uds for a path");
  }
  return wide("\\\\" + address.host + "\\pipe\\" + address.name);
}

PipeListener::PipeListener(const Address& address, plugin::Options values)
    : address_(to_text(address)),
      name_(system_name(served_here(address))),
      pipe_bytes_(static_cast<DWORD>(values.integer(option_pipe_size))),
      remote_(values.flag(option_remote)),
      security_(make_descriptor(values.text(option_security))),
      event_(plugin::make_event()),
      waiting_(make_instance(true)) {
  static_cast<void>(has_client());
}

PipeListener::~PipeListener() { cancel(); }

plugin::UniqueHandle PipeListener::make_instance(bool first) {
  SECURITY_ATTRIBUTES security{sizeof(security), security_.get(), FALSE};
  plugin::UniqueHandle made(::CreateNamedPipeW(
      name_.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0u),
      PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | (remote_ ? 0u : PIPE_REJECT_REMOTE_CLIENTS),
      PIPE_UNLIMITED_INSTANCES, pipe_bytes_, pipe_bytes_, 0, &security));
  if (made) return made;
  const auto error = static_cast<int>(::GetLastError());
  // What FILE_FLAG_FIRST_PIPE_INSTANCE says where the pipe exists, whoever serves it.
  if (first && (error == ERROR_ACCESS_DENIED || error == ERROR_PIPE_BUSY)) {
    throw Failure(FERRY_ADDRESS_IN_USE, "somebody serves this pipe already: stop it or choose another name", error);
  }
  throw plugin::os_failure(error, "cannot make an instance of the pipe");
}

/// True when the waiting instance has a client; else a wait for one is under way.
bool PipeListener::has_client() noexcept {
  for (;;) {
    if (has_client_) return true;
    if (!under_way_) {
      connecting_ = {};
      connecting_.hEvent = event_.get();
      under_way_ = true;
      if (::ConnectNamedPipe(waiting_.get(), &connecting_) == FALSE) {
        const DWORD error = ::GetLastError();
        under_way_ = error == ERROR_IO_PENDING;
        has_client_ = error == ERROR_PIPE_CONNECTED;  // between the making of the instance and the wait
        if (error == ERROR_NO_DATA) ::DisconnectNamedPipe(waiting_.get());  // it came and went
        if (has_client_) ::SetEvent(event_.get());
        if (!under_way_ && !has_client_ && error != ERROR_NO_DATA) return false;
      }
      if (!under_way_) continue;
    }
    DWORD ignored = 0;
    if (::GetOverlappedResult(waiting_.get(), &connecting_, &ignored, FALSE) != FALSE) {
      has_client_ = true;
    } else if (::GetLastError() == ERROR_IO_INCOMPLETE) {
      return false;
    }
    under_way_ = false;  // cancelled, because the thread that began the wait has ended: begin again
  }
}

std::unique_ptr<PipeConnection> PipeListener::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  while (!has_client()) {
    why_not = plugin::wait_signalled(event_.get(), deadline_ns, interrupt_);
    if (why_not != FERRY_OK) return nullptr;
  }
  plugin::UniqueHandle next = make_instance(false);  // before: a client that cannot be taken now stays where it is
  plugin::UniqueHandle connected = std::exchange(waiting_, std::move(next));
  has_client_ = false;
  ::ResetEvent(event_.get());
  static_cast<void>(has_client());
  return std::make_unique<PipeConnection>(std::move(connected), End::server, address_);
}

std::int32_t PipeListener::arm() noexcept { return has_client() ? FERRY_READY : FERRY_ARMED; }

ferry_status PipeListener::pollable(ferry_pollable& out) const noexcept {
  out.handle = reinterpret_cast<std::int64_t>(event_.get());
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void PipeListener::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  DWORD out = 0, in = 0;
  if (option_pipe_size < count && ::GetNamedPipeInfo(waiting_.get(), nullptr, &out, &in, nullptr) != FALSE) {
    values[option_pipe_size] = {out, nullptr, 1, 0};
  }
  if (option_remote < count) values[option_remote] = {remote_, nullptr, 1, 0};
}

/// The system must have let go of the memory before it can be freed.
void PipeListener::cancel() noexcept {
  if (!under_way_) return;
  ::CancelIoEx(waiting_.get(), &connecting_);
  DWORD ignored = 0;
  ::GetOverlappedResult(waiting_.get(), &connecting_, &ignored, TRUE);
}

}  // namespace ferry::npipe
