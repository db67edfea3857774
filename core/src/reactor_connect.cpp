// Reactor::connect and its awaitable: an attempt that does not wait where that can be made, else a worker's.
#include <algorithm>
#include <string_view>
#include <utility>

#include "ferry/await.hpp"
#include "ferry/reactor.hpp"
#include "reactor_connect_pool.hpp"
#include "reactor_core.hpp"

namespace ferry {
namespace {

/// What a connect came to, on its way from a worker to the loop.
struct ConnectResult {
  Connection connection;
  std::unique_ptr<Error> error;
};

/// A connect under way: shared by the user's handle, the worker's job and the posted result. Loop thread only, except
/// that the worker fills its own ConnectResult.
struct PendingConnect {
  std::weak_ptr<ReactorCore> core;
  std::function<void(Connection, const Error*)> done;  // empty once called or cancelled
  std::shared_ptr<ConnectPool::Job> job;

  void settle(ReactorCore& owner) noexcept {
    if (std::exchange(settled, true)) return;
    owner.release();
  }
  bool settled = false;
};

class ConnectHandle final : public ReactorHandle {
 public:
  explicit ConnectHandle(std::shared_ptr<PendingConnect> pending) noexcept : pending_(std::move(pending)) {}
  ~ConnectHandle() override { cancel(); }

  void cancel() noexcept override {
    if (!pending_->done) return;
    pending_->done = nullptr;
    const auto core = pending_->core.lock();
    if (core == nullptr || !core->is_running()) return;
    if (pending_->job != nullptr) core->connects().cancel(pending_->job);
    pending_->settle(*core);
  }

 private:
  std::shared_ptr<PendingConnect> pending_;
};

ConnectResult connect_now(Runtime& runtime, const std::string& target, Deadline deadline, const ferry_cancel* cancel) {
  ConnectResult result;
  try {
    result.connection = runtime.connect_stream(target, deadline, nullptr, cancel);
  } catch (const Error& error) {
    result.error = std::make_unique<Error>(error);
  } catch (const std::exception& exception) {
    result.error = std::make_unique<Error>(Status::internal, "connect", target, exception.what());
  }
  return result;
}

/// True when an attempt that does not wait may be made on the loop's thread: there is one endpoint, so no order to
/// keep, and its plugin is loaded, as loading reads files.
bool may_try_inline(Runtime& runtime, const std::string& target) {
  const auto endpoints = runtime.endpoints_of(target);
  if (endpoints.size() != 1) return false;
  const std::string_view scheme = endpoints.front().endpoint.scheme;
  const auto loaded = runtime.registry().loaded();
  return std::any_of(loaded.begin(), loaded.end(), [&](const Plugin* plugin) { return plugin->serves(scheme); });
}

void deliver(const std::shared_ptr<PendingConnect>& pending, ConnectResult& result) {
  const auto core = pending->core.lock();
  if (core == nullptr || !pending->done) return;  // cancelled: the connection, if any, closes here
  pending->settle(*core);
  const auto done = std::exchange(pending->done, nullptr);
  done(std::move(result.connection), result.error.get());
}

void deliver_later(const std::shared_ptr<PendingConnect>& pending, ReactorCore& core, ConnectResult result) {
  core.post([pending, shared = std::make_shared<ConnectResult>(std::move(result))] { deliver(pending, *shared); });
}

}  // namespace

std::unique_ptr<ReactorHandle> Reactor::connect(Runtime& runtime, std::string target, Deadline deadline,
                                                std::function<void(Connection, const Error*)> done) {
  auto pending = std::make_shared<PendingConnect>();
  pending->core = core_;
  auto handle = std::make_unique<ConnectHandle>(pending);
  ConnectPool& pool = core_->connects();
  if (may_try_inline(runtime, target)) {
    // Whatever keeps it from success now, a worker's attempt says with authority.
    ConnectResult result = connect_now(runtime, target, Deadline::no_wait(), nullptr);
    if (result.error == nullptr) {
      deliver_later(pending, *core_, std::move(result));
      pending->done = std::move(done);
      core_->hold();
      return handle;
    }
  }
  try {
    pending->job = std::make_shared<ConnectPool::Job>();
  } catch (const Error& error) {  // no descriptor is left for its cancellation
    ConnectResult result;
    result.error = std::make_unique<Error>(error);
    deliver_later(pending, *core_, std::move(result));
    pending->done = std::move(done);
    core_->hold();
    return handle;
  }
  pending->job->target = target;
  pending->job->run = [pending = std::weak_ptr(pending), core = core_.get(), &runtime, target = std::move(target),
                       deadline](const ferry_cancel& cancel) {
    ConnectResult result = connect_now(runtime, target, deadline, &cancel);
    // The pool is joined before the core ends.
    core->post([pending, shared = std::make_shared<ConnectResult>(std::move(result))] {
      if (const auto still_wanted = pending.lock()) deliver(still_wanted, *shared);
    });
  };
  pool.start(pending->job);
  pending->done = std::move(done);
  core_->hold();
  return handle;
}

void AsyncConnect::await_suspend(std::coroutine_handle<> waiting) {
  pending_ = reactor_.connect(runtime_, target_, deadline_, [this, waiting](Connection connection, const Error* error) {
    connection_ = std::move(connection);
    if (error != nullptr) error_ = *error;
    waiting.resume();
  });
}

Connection AsyncConnect::await_resume() {
  if (error_) throw Error(*error_);
  return std::move(connection_);
}

}  // namespace ferry
