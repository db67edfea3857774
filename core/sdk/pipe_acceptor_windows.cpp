#include <algorithm>
#include <utility>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/pipe_acceptor.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t slice_ms = 10;  // of waiting for a busy pipe, between looks at the cancel handle
constexpr std::int64_t ms_ns = 1'000'000;

bool is_cancelled(const ferry_cancel* cancel) noexcept {
  return cancel != nullptr && cancel->handle != -1 &&
         ::WaitForSingleObject(reinterpret_cast<HANDLE>(cancel->handle), 0) == WAIT_OBJECT_0;
}

/// None when every instance is busy. Writing is asked for alone and not with GENERIC_WRITE, which has the right to
/// serve the pipe in it. Without SECURITY_IDENTIFICATION the server could act in our name.
UniqueHandle open_instance(const std::wstring& name, PipeServer server) {
  UniqueHandle pipe(::CreateFileW(name.c_str(), GENERIC_READ | FILE_WRITE_DATA, 0, nullptr, OPEN_EXISTING,
                                  FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, nullptr));
  if (pipe) {
    if (::GetFileType(pipe.get()) != FILE_TYPE_PIPE) throw Failure(FERRY_INVALID, "what has this name is no pipe");
    if (server == PipeServer::trusted && !is_trusted_owner(pipe.get())) {
      throw Failure(FERRY_PERMISSION,
                    "another user serves this pipe; with option any_server=true it is used all the same");
    }
    return pipe;
  }
  const auto error = static_cast<int>(::GetLastError());
  if (error == ERROR_PIPE_BUSY) return {};
  if (error == ERROR_FILE_NOT_FOUND)
    throw Failure(FERRY_NOT_FOUND, "nobody serves this pipe; is the service running?", error);
  throw os_failure(error);
}

/// Whatever the system says: the client that waits has no part in it, and it may be better after a while.
Failure no_instance(int error) {
  return Failure(FERRY_NO_RESOURCES, "cannot wait for a further client: " + os_text(error), error);
}

}  // namespace

PipeAcceptor::PipeAcceptor(std::wstring name, const PipeSettings& settings, SecurityDescriptor security)
    : name_(std::move(name)), settings_(settings), security_(std::move(security)), waiting_(make_instance(true)) {
  static_cast<void>(has_news());
}

/// The system must have let go of the memory before it can be freed.
PipeAcceptor::~PipeAcceptor() {
  if (!under_way_) return;
  ::CancelIoEx(waiting_.get(), &connecting_);
  DWORD ignored = 0;
  ::GetOverlappedResult(waiting_.get(), &connecting_, &ignored, TRUE);
}

UniqueHandle PipeAcceptor::make_instance(bool first) const {
  SECURITY_ATTRIBUTES security = security_.attributes();
  UniqueHandle made(::CreateNamedPipeW(
      name_.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0u),
      PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | (settings_.remote ? 0u : PIPE_REJECT_REMOTE_CLIENTS),
      PIPE_UNLIMITED_INSTANCES, settings_.bytes, settings_.bytes, 0, &security));
  if (made) return made;
  const auto error = static_cast<int>(::GetLastError());
  // What FILE_FLAG_FIRST_PIPE_INSTANCE says where the pipe exists, whoever serves it.
  if (first && (error == ERROR_ACCESS_DENIED || error == ERROR_PIPE_BUSY)) {
    throw Failure(FERRY_ADDRESS_IN_USE, "somebody serves this pipe already: stop it or choose another name", error);
  }
  if (first) throw os_failure(error, "cannot serve the pipe");
  throw no_instance(error);
}

/// True when the waiting instance has a client, or cannot wait for one; else a wait is under way.
bool PipeAcceptor::has_news() noexcept {
  for (;;) {
    if (has_client_ || failure_ != 0) return true;
    if (!under_way_) {
      connecting_ = {};
      connecting_.hEvent = event_.get();
      under_way_ = true;
      if (::ConnectNamedPipe(waiting_.get(), &connecting_) == FALSE) {
        const DWORD error = ::GetLastError();
        under_way_ = error == ERROR_IO_PENDING;
        has_client_ = error == ERROR_PIPE_CONNECTED;  // between the making of the instance and the wait
        if (error == ERROR_NO_DATA) ::DisconnectNamedPipe(waiting_.get());  // it came and went
        if (!under_way_ && !has_client_ && error != ERROR_NO_DATA) failure_ = static_cast<int>(error);
        if (has_client_ || failure_ != 0) ::SetEvent(event_.get());
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

UniqueHandle PipeAcceptor::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  while (!has_news()) {
    why_not = wait_signalled(event_.get(), deadline_ns, interrupt_);
    if (why_not != FERRY_OK) return {};
  }
  if (const int error = std::exchange(failure_, 0); error != 0) throw no_instance(error);
  UniqueHandle next = make_instance(false);  // before: a client that cannot be taken now stays where it is
  UniqueHandle connected = std::exchange(waiting_, std::move(next));
  has_client_ = false;
  ::ResetEvent(event_.get());
  static_cast<void>(has_news());
  return connected;
}

std::int32_t PipeAcceptor::arm() noexcept { return has_news() ? FERRY_READY : FERRY_ARMED; }

ferry_status PipeAcceptor::pollable(ferry_pollable& out) const noexcept {
  out.handle = reinterpret_cast<std::int64_t>(event_.get());
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

UniqueHandle open_pipe(const std::wstring& name, PipeServer server, std::int64_t deadline_ns,
                       const ferry_cancel* cancel, ferry_status& why_not) {
  for (;;) {
    if (UniqueHandle pipe = open_instance(name, server)) return pipe;
    if (deadline_passed(deadline_ns)) {
      throw Failure(out_of_time(deadline_ns), "every instance of the pipe is busy, and its server takes nobody");
    }
    if (is_cancelled(cancel)) {
      why_not = FERRY_INTERRUPTED;
      return {};
    }
    const std::int64_t left_ms = deadline_ns == FERRY_FOREVER ? slice_ms : (deadline_ns - monotonic_ns()) / ms_ns + 1;
    ::WaitNamedPipeW(name.c_str(), static_cast<DWORD>(std::clamp<std::int64_t>(left_ms, 1, slice_ms)));
  }
}

ULONG peer_process(HANDLE pipe) noexcept {
  DWORD flags = 0;
  ULONG process = 0;
  if (::GetNamedPipeInfo(pipe, &flags, nullptr, nullptr, nullptr) == FALSE) return 0;
  const bool known = (flags & PIPE_SERVER_END) != 0 ? ::GetNamedPipeClientProcessId(pipe, &process) != FALSE
                                                    : ::GetNamedPipeServerProcessId(pipe, &process) != FALSE;
  return known ? process : 0;
}

}  // namespace ferry::plugin
