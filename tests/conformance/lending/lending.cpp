// The in-memory lending transport as a plugin, so that the suite's tests of lending meet a transport that lends. It
// joins ends of one process: what needs a peer in another one is not for it.
#include <deque>
#include <ferry/plugin.hpp>
#include <map>
#include <string>

#include "support/lending_ring.hpp"

namespace {

using namespace ferry::plugin;
using ferry::test::LendingConnection;
using ferry::test::LendingLink;

/// Clients that wait for a listener. Guarded by `listeners_mutex`.
struct Backlog {
  std::condition_variable changed;
  std::deque<std::unique_ptr<LendingConnection>> clients;
  ferry::test::ArmedEvent event;
  bool interrupted = false;
};

constexpr std::size_t longest_name = 64;
std::mutex listeners_mutex;
std::map<std::string, Backlog*, std::less<>> listeners;

class LendingListener : public Listener<LendingListener> {
 public:
  explicit LendingListener(std::string name) : name_(std::move(name)) {
    const std::lock_guard lock(listeners_mutex);
    if (!listeners.emplace(name_, &backlog_).second) throw Failure(FERRY_ADDRESS_IN_USE, "the name has a listener");
  }
  ~LendingListener() {
    const std::lock_guard lock(listeners_mutex);
    listeners.erase(name_);
  }

  std::unique_ptr<LendingConnection> accept(std::int64_t deadline, ferry_status& why_not) {
    std::unique_lock lock(listeners_mutex);
    while (backlog_.clients.empty()) {
      if (deadline == FERRY_NO_WAIT) return why_not = FERRY_WOULD_BLOCK, nullptr;
      if (backlog_.interrupted) return why_not = FERRY_INTERRUPTED, nullptr;
      if (deadline == FERRY_FOREVER) {
        backlog_.changed.wait(lock);
        continue;
      }
      const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(deadline)};
      const bool timed_out = backlog_.changed.wait_until(lock, until) == std::cv_status::timeout;
      if (timed_out && backlog_.clients.empty()) return why_not = FERRY_TIMED_OUT, nullptr;
    }
    auto client = std::move(backlog_.clients.front());
    backlog_.clients.pop_front();
    return client;
  }
  std::int32_t arm() {
    const std::lock_guard lock(listeners_mutex);
    return backlog_.event.arm(!backlog_.clients.empty());
  }
  ferry_status pollable(ferry_pollable& out) {
    out.handle = backlog_.event.handle();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void interrupt() {
    const std::lock_guard lock(listeners_mutex);
    backlog_.interrupted = true;
    backlog_.changed.notify_all();
  }
  std::string local_address() { return name_; }

 private:
  std::string name_;
  Backlog backlog_;
};

class LendingTransport : public Transport<LendingTransport> {
 public:
  LendingTransport(const ferry_host&, Options) {}
  static void check_address(std::string_view text) {
    const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (text.empty() || text.size() > longest_name || !std::all_of(text.begin(), text.end(), is_word))
      throw Failure(FERRY_INVALID, "the address must be a name of 1 to 64 letters a-z and digits");
  }
  std::unique_ptr<LendingConnection> connect(const char* address, Options, std::int64_t, const ferry_cancel*,
                                             ferry_status&) {
    check_address(address);
    const std::lock_guard lock(listeners_mutex);
    const auto found = listeners.find(address);
    if (found == listeners.end()) throw Failure(FERRY_REFUSED, "nobody listens at this name");
    auto link = std::make_shared<LendingLink>();
    found->second->clients.push_back(std::make_unique<LendingConnection>(link, 1));
    found->second->event.signal();
    found->second->changed.notify_all();
    return std::make_unique<LendingConnection>(std::move(link), 0);
  }
  std::unique_ptr<LendingListener> listen(const char* address, Options) {
    check_address(address);
    return std::make_unique<LendingListener>(address);
  }
};

constexpr const char* schemes[] = {"lending", nullptr};

}  // namespace

FERRY_PLUGIN(LendingTransport, {.name = "lending",
                                .version = "1.0.0",
                                .description = "lends its memory; joins ends of one process",
                                .licence = "Apache-2.0",
                                .schemes = schemes,
                                .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_LENDING |
                                                FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL,
                                .ephemeral_address = "{name}"});
