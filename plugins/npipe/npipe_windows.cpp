// The npipe transport on Windows: the system's own named pipes, in byte mode and without any framing, so that programs
// that know nothing of Ferry can be at the other end. Such a pipe has no half to close: that is declared unsupported.
#include <algorithm>
#include <memory>

#include "ferry/plugin.hpp"
#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/os_error.hpp"
#include "npipe_address.hpp"
#include "npipe_listener_windows.hpp"
#include "npipe_options_windows.hpp"

namespace ferry::npipe {
namespace {

using plugin::Failure;

constexpr std::int64_t slice_ms = 10;  // of waiting for a busy pipe, between looks at the cancel handle

bool is_cancelled(const ferry_cancel* cancel) noexcept {
  return cancel != nullptr && cancel->handle != -1 &&
         ::WaitForSingleObject(reinterpret_cast<HANDLE>(cancel->handle), 0) == WAIT_OBJECT_0;
}

/// Opens the pipe, or gives none when every instance is busy. The server may ask who we are, and can do nothing in our
/// name: without SECURITY_IDENTIFICATION it could.
plugin::UniqueHandle open_instance(const std::wstring& name) {
  plugin::UniqueHandle pipe(::CreateFileW(name.c_str(), GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING,
                                          FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION,
                                          nullptr));
  if (pipe) return pipe;
  const auto error = static_cast<int>(::GetLastError());
  if (error == ERROR_PIPE_BUSY) return {};
  if (error == ERROR_FILE_NOT_FOUND)
    throw Failure(FERRY_NOT_FOUND, "nobody serves this pipe; is the service running?", error);
  throw plugin::os_failure(error);
}

class PipeTransport : public plugin::Transport<PipeTransport> {
 public:
  PipeTransport(const ferry_host&, plugin::Options) noexcept {}

  std::unique_ptr<PipeConnection> connect(const char* text, plugin::Options, std::int64_t deadline_ns,
                                          const ferry_cancel* cancel, ferry_status& why_not) const {
    const Address address = parse_address(text);
    const std::wstring name = system_name(address);
    for (;;) {
      if (plugin::UniqueHandle pipe = open_instance(name)) {
        return std::make_unique<PipeConnection>(std::move(pipe), End::client, to_text(address));
      }
      if (plugin::deadline_passed(deadline_ns)) {
        throw Failure(plugin::out_of_time(deadline_ns),
                      "every instance of the pipe is busy, and its server takes nobody");
      }
      if (is_cancelled(cancel)) {
        why_not = FERRY_INTERRUPTED;
        return nullptr;
      }
      const std::int64_t left_ms =
          deadline_ns == FERRY_FOREVER ? slice_ms : (deadline_ns - plugin::monotonic_ns()) / 1'000'000 + 1;
      ::WaitNamedPipeW(name.c_str(), static_cast<DWORD>(std::clamp<std::int64_t>(left_ms, 1, slice_ms)));
    }
  }

  std::unique_ptr<PipeListener> listen(const char* text, plugin::Options values) const {
    return std::make_unique<PipeListener>(parse_address(text), values);
  }

  static void check_address(std::string_view text) { (void)parse_address(text); }
};

constexpr plugin::Description description = [] {
  plugin::Description made = describe("./pipe/{name}", FERRY_CAP_LOCAL | FERRY_CAP_CREDENTIALS);
  made.options = windows_options.data();
  made.option_count = windows_option_count;
  return made;
}();

}  // namespace
}  // namespace ferry::npipe

FERRY_PLUGIN(ferry::npipe::PipeTransport, (ferry::npipe::description));
