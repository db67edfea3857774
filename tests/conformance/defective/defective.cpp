// A correct transport over abstract Unix sockets that breaks the contract in one way of our choosing.
//
// The suite must be able to fail: for each defect below, ctest asserts that the tests which are there for it say so.
// The defect is chosen by FERRY_DEFECT in the environment, so one binary serves for all; without it, the suite passes.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ferry/plugin.hpp>
#include <ferry/sdk/accept_socket.hpp>
#include <ferry/sdk/os_error.hpp>
#include <ferry/sdk/stream_socket.hpp>
#include <vector>

namespace {

using namespace ferry::plugin;

enum class Defect : std::uint8_t {
  none,
  loses_last_byte,       // of a connection that is finished
  loses_wakeup,          // arm forgets what arrived since the last read
  ignores_deadline,      // read waits for ever
  wakes_early,           // read gives up a tenth of the time too soon
  leaks_descriptor,      // one for each connection
  ends_both_directions,  // on a half-close
  crashes_on_interrupt,
  ignores_interrupt,    // of accept
  grows_without_bound,  // write takes everything
  ends_before_data,     // read looks for the hang-up first
  overruns_error,       // writes a whole ferry_error whatever its size
  says_nothing,         // fails without a message
  corrupts_at_64_kib,
  hangs_in_close,
  inherits_descriptors,  // accepted ones are not close-on-exec
  blocks_accept,         // until the client has said something
};

constexpr std::array<std::pair<std::string_view, Defect>, 16> names{{
    {"loses_last_byte", Defect::loses_last_byte},
    {"loses_wakeup", Defect::loses_wakeup},
    {"ignores_deadline", Defect::ignores_deadline},
    {"wakes_early", Defect::wakes_early},
    {"leaks_descriptor", Defect::leaks_descriptor},
    {"ends_both_directions", Defect::ends_both_directions},
    {"crashes_on_interrupt", Defect::crashes_on_interrupt},
    {"ignores_interrupt", Defect::ignores_interrupt},
    {"grows_without_bound", Defect::grows_without_bound},
    {"ends_before_data", Defect::ends_before_data},
    {"overruns_error", Defect::overruns_error},
    {"says_nothing", Defect::says_nothing},
    {"corrupts_at_64_kib", Defect::corrupts_at_64_kib},
    {"hangs_in_close", Defect::hangs_in_close},
    {"inherits_descriptors", Defect::inherits_descriptors},
    {"blocks_accept", Defect::blocks_accept},
}};

Defect chosen() {
  const char* const wanted = std::getenv("FERRY_DEFECT");
  if (wanted == nullptr) return Defect::none;
  for (const auto& [name, defect] : names) {
    if (name == wanted) return defect;
  }
  throw Failure(FERRY_INVALID, "FERRY_DEFECT names no defect of this plugin");
}

bool has(Defect defect) {
  static const Defect it = chosen();
  return it == defect;
}

UniqueFd open_socket() {
  UniqueFd made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) throw os_failure(errno, "socket");
  return made;
}

class DefectiveConnection : public Connection<DefectiveConnection> {
 public:
  explicit DefectiveConnection(UniqueFd fd) : socket_(std::move(fd), StreamSocket::Kind::local) {
    if (has(Defect::leaks_descriptor)) static_cast<void>(open_socket().release());
    if (has(Defect::loses_wakeup)) {
      events_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
      epoll_event once{};
      once.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
      epoll_ctl(events_.get(), EPOLL_CTL_ADD, socket_.fd(), &once);
    }
  }
  ~DefectiveConnection() {
    while (has(Defect::hangs_in_close)) pause();
  }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    if (has(Defect::ends_before_data) && hung_up()) return FERRY_END;
    if (has(Defect::ignores_deadline) && deadline != FERRY_NO_WAIT) deadline = FERRY_FOREVER;
    if (has(Defect::wakes_early) && deadline > FERRY_NO_WAIT && deadline < FERRY_FOREVER)
      deadline = std::max<std::int64_t>(1, deadline - 2'000'000);
    const std::int64_t got = socket_.read(data, size, deadline);
    if (got > 0) {
      constexpr std::int64_t corrupted = 65536;
      if (has(Defect::corrupts_at_64_kib) && received_ <= corrupted && corrupted < received_ + got)
        static_cast<unsigned char*>(data)[corrupted - received_] ^= 1u;
      received_ += got;
    }
    return got;
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    if (has(Defect::grows_without_bound)) return hoard(pieces, count);
    if (!has(Defect::loses_last_byte)) return socket_.write(pieces, count, flags, deadline);
    return keep_last(pieces, count, flags, deadline);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) {
    if (!events_ || interest != FERRY_READ) return socket_.pollable(interest, out);
    out.handle = events_.get();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  std::int32_t arm(ferry_interest) {
    epoll_event forgotten{};
    if (events_) epoll_wait(events_.get(), &forgotten, 1, 0);  // also what arrived since the caller last looked
    return FERRY_ARMED;
  }
  ferry_status shutdown_write() {
    if (has(Defect::ends_both_directions)) shutdown(socket_.fd(), SHUT_RD);
    return socket_.shutdown_write();
  }
  void interrupt() {
    if (has(Defect::crashes_on_interrupt)) std::abort();
    socket_.interrupt();
  }
  ferry_status finish(std::int64_t deadline) { return socket_.finish(deadline); }
  void describe(ferry_connection_info&) {}

 private:
  bool hung_up() const {
    pollfd entry{socket_.fd(), POLLRDHUP, 0};
    return poll(&entry, 1, 0) == 1;
  }
  /// Sends what the previous write left, then all but the last byte of this one.
  std::int64_t keep_last(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    if (count == 0 || pieces[0].size == 0) return socket_.write(pieces, count, flags, deadline);
    if (kept_) {
      const ferry_iovec one{&last_, 1};
      if (const std::int64_t sent = socket_.write(&one, 1, flags, deadline); sent != 1) return sent;
      kept_ = false;
    }
    const auto* bytes = static_cast<const unsigned char*>(pieces[0].data);
    std::uint64_t size = pieces[0].size;
    // Only a large write is worth keeping back: small ones are exchanges that would stall, which is another defect.
    if (size < 2000) return socket_.write(pieces, 1, flags, deadline);
    const ferry_iovec most{bytes, --size};
    const std::int64_t sent = socket_.write(&most, 1, flags, deadline);
    if (sent != static_cast<std::int64_t>(size)) return sent;
    last_ = bytes[size];
    kept_ = true;
    return sent + 1;
  }
  std::int64_t hoard(const ferry_iovec* pieces, std::uint32_t count) {
    std::int64_t size = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto* bytes = static_cast<const unsigned char*>(pieces[i].data);
      hoard_.insert(hoard_.end(), bytes, bytes + pieces[i].size);
      size += static_cast<std::int64_t>(pieces[i].size);
    }
    return size;
  }

  StreamSocket socket_;
  UniqueFd events_;
  std::int64_t received_ = 0;
  unsigned char last_ = 0;
  bool kept_ = false;
  std::vector<unsigned char> hoard_;
};

class DefectiveListener : public Listener<DefectiveListener> {
 public:
  DefectiveListener(const sockaddr_un& name, socklen_t size, std::string text)
      : socket_(open_socket()), text_(std::move(text)) {
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) throw os_failure(errno, "bind");
    if (listen(socket_.get(), SOMAXCONN) != 0) throw os_failure(errno, "listen");
  }
  std::unique_ptr<DefectiveConnection> accept(std::int64_t deadline, ferry_status& why_not) {
    UniqueFd client;
    why_not = accept_socket(socket_.get(), interrupt_, deadline, client);
    if (why_not != FERRY_OK) return nullptr;
    if (has(Defect::inherits_descriptors)) fcntl(client.get(), F_SETFD, 0);
    if (has(Defect::blocks_accept)) {
      pollfd entry{client.get(), POLLIN, 0};
      poll(&entry, 1, -1);
    }
    return std::make_unique<DefectiveConnection>(std::move(client));
  }
  ferry_status pollable(ferry_pollable& out) {
    out.handle = socket_.get();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void interrupt() {
    if (!has(Defect::ignores_interrupt)) interrupt_.raise();
  }
  std::string local_address() { return text_; }

 private:
  UniqueFd socket_;
  Interrupt interrupt_;
  std::string text_;
};

class DefectiveTransport : public Transport<DefectiveTransport> {
 public:
  DefectiveTransport(const ferry_host&, Options) { static_cast<void>(has(Defect::none)); }

  static void check_address(std::string_view text) {
    if (!text.empty() && text.size() < 100) return;
    throw Failure(FERRY_INVALID, has(Defect::says_nothing) ? "" : "the address must be a name of 1 to 99 bytes");
  }
  std::unique_ptr<DefectiveConnection> connect(const char* address, Options, std::int64_t deadline,
                                               const ferry_cancel* cancel, ferry_status& why_not) {
    check_address(address);
    socklen_t size = 0;
    const sockaddr_un name = abstract_name(address, size);
    UniqueFd fd = open_socket();
    while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
      if (errno != EAGAIN && errno != EINTR) throw os_failure(errno);
      if (deadline_passed(deadline)) return why_not = out_of_time(deadline), nullptr;
      pollfd cancelled{cancel_descriptor(cancel), POLLIN, 0};
      if (poll(&cancelled, 1, 5) > 0) return why_not = FERRY_INTERRUPTED, nullptr;
    }
    return std::make_unique<DefectiveConnection>(std::move(fd));
  }
  std::unique_ptr<DefectiveListener> listen(const char* address, Options) {
    check_address(address);
    socklen_t size = 0;
    const sockaddr_un name = abstract_name(address, size);
    return std::make_unique<DefectiveListener>(name, size, address);
  }

 private:
  static sockaddr_un abstract_name(std::string_view text, socklen_t& size) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path + 1, text.data(), text.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    return name;
  }
};

constexpr const char* schemes[] = {"defective", nullptr};
constexpr std::uint64_t capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL;

constexpr ferry_plugin describe() {
  ferry_plugin plugin = define<DefectiveTransport>({.name = "defective",
                                                    .version = "1.0.0",
                                                    .description = "breaks the contract as it is told",
                                                    .licence = "0BSD",
                                                    .schemes = schemes,
                                                    .capabilities = capabilities,
                                                    .ephemeral_address = "{name}"});
  constexpr auto correct = define<DefectiveTransport>({}).check_address;
  plugin.check_address = [](const char* address, ferry_error* error) noexcept {
    const ferry_status status = correct(address, error);
    if (status != FERRY_OK && has(Defect::overruns_error)) std::memset(error->message, ' ', FERRY_MESSAGE_SIZE);
    return status;
  };
  return plugin;
}

}  // namespace

extern "C" FERRY_PLUGIN_EXPORT constinit const ferry_plugin ferry_plugin_v1 = describe();
