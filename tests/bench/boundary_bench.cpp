// What crossing the plugin boundary costs: the same read called directly, through the ABI's table in a library opened
// at run time, and through Connection::read. Prints nanoseconds per call; medians of rounds taken in turn. Exits 1 when
// the ABI's table costs more than --limit-ns over the direct call.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "command_line.hpp"
#include "ferry/connection.hpp"
#include "ferry/deadline.hpp"
#include "null_transport.hpp"

namespace {

constexpr int rounds = 9;

template <class Call>
double ns_per_call(std::uint64_t calls, Call&& call) {
  const std::int64_t start = ferry::monotonic_now_ns();
  for (std::uint64_t i = 0; i < calls; ++i) call();
  return static_cast<double>(ferry::monotonic_now_ns() - start) / static_cast<double>(calls);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Opened {
  ferry_transport* transport = nullptr;
  ferry_connection* connection = nullptr;
};

Opened open_null_connection() {
  void* library = ::dlopen(FERRY_BOUNDARY_PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "boundary_bench: %s\n", ::dlerror());
    std::exit(4);
  }
  const auto* plugin = static_cast<const ferry_plugin*>(::dlsym(library, FERRY_PLUGIN_SYMBOL));
  Opened opened;
  static const ferry_host host{};
  static const ferry_values no_values{sizeof(ferry_values), 0, sizeof(ferry_value), 0, nullptr};
  if (plugin->create(&host, &no_values, &opened.transport, nullptr) != FERRY_OK ||
      opened.transport->ops->connect(opened.transport, "", &no_values, FERRY_FOREVER, nullptr, &opened.connection,
                                     nullptr) != FERRY_OK) {
    std::fprintf(stderr, "boundary_bench: the null transport does not connect\n");
    std::exit(4);
  }
  return opened;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t calls = 20'000'000;
  double limit_ns = 0;
  ferry::host::Program program("What crossing the plugin boundary costs");
  program.option("--calls", calls, "of each round");
  program.option("--limit-ns", limit_ns, "exit with 1 when a call through the ABI costs this much more; 0: any");
  if (const auto code = program.parse(argc, argv)) return *code;
  const Opened opened = open_null_connection();
  ferry::Connection connection(opened.connection, nullptr, {ferry::WaitPolicy(ferry::WaitPolicy::Mode::off, 0)},
                               "null");
  ferry_connection* raw = connection.raw();
  std::array<std::byte, 64> buffer{};
  std::uint64_t direct_calls = 0;
  std::vector<double> direct, boundary, wrapped;
  for (int i = 0; i < rounds; ++i) {
    direct.push_back(
        ns_per_call(calls, [&] { null_transport::read(direct_calls, buffer.data(), buffer.size(), FERRY_FOREVER); }));
    boundary.push_back(
        ns_per_call(calls, [&] { (void)raw->ops->read(raw, buffer.data(), buffer.size(), FERRY_FOREVER); }));
    wrapped.push_back(ns_per_call(calls, [&] { (void)connection.read(buffer); }));
  }
  std::printf("linked in            %6.2f ns per call\n", median(direct));
  std::printf("through the ABI      %6.2f ns per call, %+.2f ns\n", median(boundary),
              median(boundary) - median(direct));
  std::printf("Connection::read     %6.2f ns per call, %+.2f ns\n", median(wrapped), median(wrapped) - median(direct));
  connection.abort();
  opened.transport->ops->destroy(opened.transport);
  return limit_ns == 0 || median(boundary) - median(direct) < limit_ns ? 0 : 1;
}
