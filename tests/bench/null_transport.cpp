#include "null_transport.hpp"

namespace null_transport {

__attribute__((noinline)) std::int64_t read(std::uint64_t& calls, void* data, std::uint64_t size, std::int64_t) {
  ++calls;
  *static_cast<unsigned char*>(data) = static_cast<unsigned char>(calls);
  return static_cast<std::int64_t>(size);
}

}  // namespace null_transport

#ifdef FERRY_BOUNDARY_PLUGIN
#include "ferry/plugin.hpp"

namespace {

class NullConnection final : public ferry::plugin::Connection<NullConnection> {
 public:
  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) {
    return null_transport::read(calls_, data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t, std::uint32_t, std::int64_t) {
    return static_cast<std::int64_t>(pieces->size);
  }
  ferry_status pollable(ferry_interest, ferry_pollable&) { return FERRY_UNSUPPORTED; }
  void interrupt() {}
  ferry_status finish(std::int64_t) { return FERRY_OK; }
  void describe(ferry_connection_info&) {}

 private:
  std::uint64_t calls_ = 0;
};

class NullListener final : public ferry::plugin::Listener<NullListener> {
 public:
  std::unique_ptr<NullConnection> accept(std::int64_t, ferry_status&) { return std::make_unique<NullConnection>(); }
  ferry_status pollable(ferry_pollable&) { return FERRY_UNSUPPORTED; }
  void interrupt() {}
  std::string local_address() { return "null"; }
};

class NullTransport final : public ferry::plugin::Transport<NullTransport> {
 public:
  NullTransport(const ferry_host&, ferry::plugin::Options) {}
  std::unique_ptr<NullConnection> connect(const char*, ferry::plugin::Options, std::int64_t, const ferry_cancel*,
                                          ferry_status&) {
    return std::make_unique<NullConnection>();
  }
  std::unique_ptr<NullListener> listen(const char*, ferry::plugin::Options) { return std::make_unique<NullListener>(); }
  static void check_address(std::string_view) {}
};

constexpr const char* schemes[] = {"boundary_null", nullptr};

}  // namespace

FERRY_PLUGIN(NullTransport,
             {.name = "boundary_null", .description = "does nothing, for measuring calls", .schemes = schemes});
#endif
