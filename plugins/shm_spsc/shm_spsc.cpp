// The shm transport: two rings of bytes in memory that both processes map, met on a Unix socket.
//
// The socket carries what the kernel alone can vouch for: who may connect (the file's permissions, credentials), the
// descriptors, and the other process's end, however it comes. Everything else goes through memory.

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "ferry/plugin.hpp"
#include "ferry/sdk/runtime_directory.hpp"
#include "ferry/sdk/unix_listener.hpp"
#include "ferry/sdk/unix_socket.hpp"
#include "handshake.hpp"
#include "shm_address.hpp"
#include "shm_connection.hpp"
#include "shm_options.hpp"

namespace ferry::shm_spsc {
namespace {

using plugin::Failure;
using plugin::UniqueFd;

constexpr std::uint32_t option_first_listen = common_option_count;
constexpr auto options = plugin::with_unix_listen_rows(common_options);

std::string path_of(const Address& address) {
  return address.named ? socket_path(address, plugin::runtime_directory(), {})
                       : socket_path(address, {}, std::filesystem::current_path().native());
}

class ShmListener : public plugin::Listener<ShmListener> {
 public:
  ShmListener(const ferry_host& host, const Address& address, plugin::Options values)
      : ShmListener(host, address, path_of(address), values) {}

  std::unique_ptr<ShmConnection> accept(std::int64_t deadline_ns, ferry_status& why_not) {
    for (;;) {
      UniqueFd socket;
      why_not = listener_.accept(deadline_ns, socket);
      if (why_not != FERRY_OK) return nullptr;
      // A client that gave up in the queue leaves a socket that has hung up: it must not cost a segment.
      if (hung_up(socket.get())) continue;
      admit(socket.get());
      if (auto link = offer(std::move(socket))) {
        return std::make_unique<ShmConnection>(std::move(*link), address_, std::string());
      }
    }
  }

  ferry_status pollable(ferry_pollable& out) const noexcept { return listener_.pollable(out); }
  void interrupt() noexcept { listener_.interrupt(); }
  std::string local_address() const { return address_; }

  void reconfigure(plugin::Options values) {
    listener_.reconfigure(values);
    const std::lock_guard lock(mutex_);
    ring_ = wanted_ring(values);
    pages_ = wanted_pages(values);
  }

  void effective(ferry_value* values, std::uint32_t count) {
    std::fill_n(values, count, ferry_value{});
    listener_.effective(values, count);
    const std::lock_guard lock(mutex_);
    if (count > option_ring) values[option_ring] = {static_cast<std::int64_t>(ring_), nullptr, 1, 0};
  }

 private:
  ShmListener(const ferry_host& host, const Address& address, const std::string& path, plugin::Options values)
      : address_(address.named ? address.text : path), listener_(host, {path, false}, values, option_first_listen) {
    reconfigure(values);
  }

  void admit(int socket) {
    try {
      listener_.require_admitted_client(socket);
    } catch (const Failure&) {
      turn_away(socket, Verdict::not_admitted);
      throw;
    }
  }

  std::optional<Link> offer(UniqueFd socket) {
    std::unique_lock lock(mutex_);
    const std::uint64_t ring = ring_;
    const PageOptions pages = pages_;
    lock.unlock();
    return offer_link(std::move(socket), ring, pages);
  }

  const std::string address_;
  plugin::UnixListener listener_;
  std::mutex mutex_;  // guards the two below, for reconfigure against accept
  std::uint64_t ring_ = 0;
  PageOptions pages_;
};

class ShmTransport : public plugin::Transport<ShmTransport> {
 public:
  ShmTransport(const ferry_host& host, plugin::Options) noexcept : host_(host) {}

  std::unique_ptr<ShmConnection> connect(const char* text, plugin::Options values, std::int64_t deadline_ns,
                                         const ferry_cancel* cancel, ferry_status& why_not) {
    const Address address = parse_address(text);
    const std::string path = path_of(address);
    const plugin::AllowList allowed = plugin::allowed_peers(values, option_first_listen, false);
    UniqueFd socket;
    why_not = plugin::connect_unix(plugin::path_socket_address(path), path, deadline_ns, cancel, socket);
    if (why_not != FERRY_OK) return nullptr;
    plugin::require_admitted_server(socket.get(), allowed);
    std::optional<Link> link;
    why_not = await_link(std::move(socket), wanted_pages(values), deadline_ns, cancel, link);
    if (why_not != FERRY_OK) return nullptr;
    return std::make_unique<ShmConnection>(std::move(*link), std::string(), address.named ? address.text : path);
  }

  std::unique_ptr<ShmListener> listen(const char* address, plugin::Options values) {
    return std::make_unique<ShmListener>(host_, parse_address(address), values);
  }

  /// Makes a segment and drops it again: nothing else can tell what memory there is.
  void effective(plugin::Options values, ferry_value* out, std::uint32_t count) const {
    std::fill_n(out, count, ferry_value{});
    (void)plugin::allowed_peers(values, option_first_listen, false);  // says which name nobody has
    UniqueFd memory;
    fill_granted(Segment::create(wanted_ring(values), wanted_pages(values), memory), out, count);
    plugin::fill_granted_backlog(values, option_first_listen, out, count);
  }

  static void check_address(std::string_view text) { (void)parse_address(text); }

 private:
  const ferry_host& host_;
};

constexpr plugin::Description description = describe(options.data(), options.size(), "{dir}/{name}.shm");

}  // namespace
}  // namespace ferry::shm_spsc

FERRY_PLUGIN(ferry::shm_spsc::ShmTransport, (ferry::shm_spsc::description));
