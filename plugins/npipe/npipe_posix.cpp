// The npipe transport on POSIX systems: a rendezvous FIFO to find each other, then two FIFOs for each client.
//
// Everything belongs to one user: directories are 0700 and FIFOs 0600, and what belongs to another is refused. FIFOs
// say nothing of who is at the other end, so there is no ferry.peer: whoever got in is the same user, or root.
#include <memory>

#include "ferry/plugin.hpp"
#include "npipe_address.hpp"
#include "npipe_connection_posix.hpp"
#include "npipe_description.hpp"
#include "npipe_listener_posix.hpp"

namespace ferry::npipe {
namespace {

class PipeTransport : public plugin::Transport<PipeTransport> {
 public:
  PipeTransport(const ferry_host& host, plugin::Options) noexcept : host_(host) {}

  std::unique_ptr<PipeConnection> connect(const char* text, plugin::Options values, std::int64_t deadline_ns,
                                          const ferry_cancel* cancel, ferry_status& why_not) const {
    const Address address = parse_address(text);
    FifoPair fifos;
    why_not = connect_pair(find_place(address, MakeDirectory::no), values.integer(option_pipe_size), deadline_ns,
                           cancel, fifos);
    if (why_not != FERRY_OK) return nullptr;
    return std::make_unique<PipeConnection>(std::move(fifos), std::string(), to_text(address));
  }

  std::unique_ptr<PipeListener> listen(const char* text, plugin::Options values) const {
    return std::make_unique<PipeListener>(host_, parse_address(text), values);
  }

  void effective(plugin::Options values, ferry_value* out, std::uint32_t count) const noexcept {
    fill_effective(values.integer(option_pipe_size), values.integer(option_backlog), out, count);
  }

  static void check_address(std::string_view text) { (void)parse_address(text); }

 private:
  const ferry_host& host_;
};

}  // namespace
}  // namespace ferry::npipe

FERRY_PLUGIN(ferry::npipe::PipeTransport,
             (ferry::npipe::describe("{dir}/{name}.pipe", FERRY_CAP_HALF_CLOSE | FERRY_CAP_LOCAL)));
