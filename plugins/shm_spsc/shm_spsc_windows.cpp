// The shm transport on Windows: two rings of bytes in memory that both processes map, met on a named pipe.
//
// The pipe carries what the system alone can vouch for: who may connect, the other process's id, and its end, however
// it comes. Everything else goes through memory, and events that have names.
#include <algorithm>
#include <array>
#include <mutex>

#include "ferry/plugin.hpp"
#include "ferry/sdk/pipe_acceptor.hpp"
#include "handshake_windows.hpp"
#include "shm_address.hpp"
#include "shm_connection.hpp"
#include "shm_options.hpp"

namespace ferry::shm_spsc {
namespace {

constexpr DWORD pipe_bytes = 4096;  // more than is ever sent

enum WindowsOption : std::uint32_t { option_security = common_option_count, option_any_server, option_count };

constexpr std::array<ferry_option, option_count> options = {
    common_options[option_ring],
    common_options[option_pages],
    common_options[option_pretouch],
    common_options[option_mlock],
    row::text("security", nullptr,
              "who else than this user may connect and map the memory, as an SDDL string, for example "
              "D:(A;;0x80100002;;;BU)",
              FERRY_OPTION_LISTEN),
    row::boolean("any_server", "false",
                 "connect also to what neither this user, an administrator nor the system serves",
                 FERRY_OPTION_CONNECT),
};

class ShmListener : public plugin::Listener<ShmListener> {
 public:
  ShmListener(const Address& address, plugin::Options values)
      : address_(address.text),
        acceptor_(pipe_name(address), {pipe_bytes, false}, plugin::SecurityDescriptor(values.text(option_security))) {
    reconfigure(values);
  }

  std::unique_ptr<ShmConnection> accept(std::int64_t deadline_ns, ferry_status& why_not) {
    for (;;) {
      plugin::UniqueHandle client = acceptor_.accept(deadline_ns, why_not);
      if (!client) return nullptr;
      std::unique_lock lock(mutex_);
      const std::uint64_t ring = ring_;
      const PageOptions pages = pages_;
      lock.unlock();
      if (auto link = offer_link(std::move(client), ring, pages, acceptor_.security())) {
        return std::make_unique<ShmConnection>(std::move(*link), address_, std::string());
      }
    }
  }

  std::int32_t arm() noexcept { return acceptor_.arm(); }
  ferry_status pollable(ferry_pollable& out) const noexcept { return acceptor_.pollable(out); }
  void interrupt() noexcept { acceptor_.interrupt(); }
  std::string local_address() const { return address_; }

  void reconfigure(plugin::Options values) {
    const std::lock_guard lock(mutex_);
    ring_ = wanted_ring(values);
    pages_ = wanted_pages(values);
  }

  void effective(ferry_value* values, std::uint32_t count) {
    std::fill_n(values, count, ferry_value{});
    const std::lock_guard lock(mutex_);
    if (count > option_ring) values[option_ring] = {static_cast<std::int64_t>(ring_), nullptr, 1, 0};
  }

 private:
  const std::string address_;
  plugin::PipeAcceptor acceptor_;
  std::mutex mutex_;  // guards the two below, for reconfigure against accept
  std::uint64_t ring_ = 0;
  PageOptions pages_;
};

class ShmTransport : public plugin::Transport<ShmTransport> {
 public:
  ShmTransport(const ferry_host&, plugin::Options) noexcept {}

  std::unique_ptr<ShmConnection> connect(const char* text, plugin::Options values, std::int64_t deadline_ns,
                                         const ferry_cancel* cancel, ferry_status& why_not) {
    const Address address = parse_address(text);
    const auto server = values.flag(option_any_server) ? plugin::PipeServer::anybody : plugin::PipeServer::trusted;
    plugin::UniqueHandle pipe = plugin::open_pipe(pipe_name(address), server, deadline_ns, cancel, why_not);
    if (!pipe) return nullptr;
    std::optional<Link> link;
    why_not = await_link(std::move(pipe), wanted_pages(values), deadline_ns, cancel, link);
    if (why_not != FERRY_OK) return nullptr;
    return std::make_unique<ShmConnection>(std::move(*link), std::string(), address.text);
  }

  std::unique_ptr<ShmListener> listen(const char* address, plugin::Options values) {
    return std::make_unique<ShmListener>(parse_address(address), values);
  }

  /// Makes a segment and drops it again: nothing else can tell what memory there is.
  void effective(plugin::Options values, ferry_value* out, std::uint32_t count) const {
    std::fill_n(out, count, ferry_value{});
    Memory memory;
    fill_granted(Segment::create(wanted_ring(values), wanted_pages(values), memory), out, count);
  }

  static void check_address(std::string_view text) { (void)parse_address(text); }
};

constexpr plugin::Description description = describe(options.data(), options.size(), "{name}");

}  // namespace
}  // namespace ferry::shm_spsc

FERRY_PLUGIN(ferry::shm_spsc::ShmTransport, (ferry::shm_spsc::description));
