#include <atomic>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/pipe_acceptor.hpp"

namespace ferry::plugin {
namespace {

constexpr int max_pending = 64;
std::atomic<int> pending = 0;  // relaxed: a count that nothing else depends on

/// Everything the opening touches; shared by the caller and the thread, and freed by whichever lets go last.
struct Opening {
  Opening(std::wstring pipe_name, std::int64_t deadline) : name(std::move(pipe_name)), deadline_ns(deadline) {}

  void run() noexcept {
    try {
      pipe = open_pipe(name, PipeServer::anybody, deadline_ns, nullptr, why_not);
    } catch (const Failure& thrown) {
      failure = thrown;
    }
    ::SetEvent(finished.get());
    pending.fetch_sub(1, std::memory_order_relaxed);
  }

  const std::wstring name;
  const std::int64_t deadline_ns;
  UniqueHandle pipe;
  ferry_status why_not = FERRY_OK;
  std::optional<Failure> failure;
  const UniqueHandle finished = make_event();
};

}  // namespace

UniqueHandle open_remote_pipe(const std::wstring& name, std::int64_t deadline_ns, const ferry_cancel* cancel,
                              ferry_status& why_not) {
  if (deadline_passed(deadline_ns)) throw Failure(out_of_time(deadline_ns), "to reach another machine takes waiting");
  const auto opening = std::make_shared<Opening>(name, deadline_ns);
  if (pending.fetch_add(1, std::memory_order_relaxed) >= max_pending) {
    pending.fetch_sub(1, std::memory_order_relaxed);
    throw Failure(FERRY_NO_RESOURCES, std::to_string(max_pending) + " connects to other machines hang already");
  }
  std::thread thread;
  try {
    thread = std::thread([opening] { opening->run(); });
  } catch (const std::system_error& error) {
    pending.fetch_sub(1, std::memory_order_relaxed);
    throw Failure(FERRY_NO_RESOURCES, "cannot start a thread for the connect: " + std::string(error.what()));
  }
  why_not = wait_signalled(opening->finished.get(), deadline_ns, cancel);
  if (why_not != FERRY_OK) {
    thread.detach();  // it ends when the system gives up
    if (why_not == FERRY_INTERRUPTED) return {};
    throw Failure(why_not, "the other machine did not answer in time");
  }
  thread.join();
  if (opening->failure) throw *opening->failure;
  why_not = opening->why_not;
  return std::move(opening->pipe);
}

}  // namespace ferry::plugin
