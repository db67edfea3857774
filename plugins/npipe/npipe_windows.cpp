// The npipe transport on Windows: the system's own named pipes, in byte mode and without any framing, so that programs
// that know nothing of Ferry can be at the other end. Such a pipe has no half to close: that is declared unsupported.
#include <memory>

#include "ferry/plugin.hpp"
#include "ferry/sdk/pipe_acceptor.hpp"
#include "npipe_address.hpp"
#include "npipe_listener_windows.hpp"
#include "npipe_options_windows.hpp"

namespace ferry::npipe {
namespace {

class PipeTransport : public plugin::Transport<PipeTransport> {
 public:
  PipeTransport(const ferry_host&, plugin::Options) noexcept {}

  std::unique_ptr<PipeConnection> connect(const char* text, plugin::Options values, std::int64_t deadline_ns,
                                          const ferry_cancel* cancel, ferry_status& why_not) const {
    const Address address = parse_address(text);
    const std::wstring name = system_name(address);
    const auto server = values.flag(option_any_server) ? plugin::PipeServer::anybody : plugin::PipeServer::trusted;
    plugin::UniqueHandle pipe = address.host == "." ? plugin::open_pipe(name, server, deadline_ns, cancel, why_not)
                                                    : plugin::open_remote_pipe(name, deadline_ns, cancel, why_not);
    return pipe ? std::make_unique<PipeConnection>(std::move(pipe), End::client, to_text(address)) : nullptr;
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
