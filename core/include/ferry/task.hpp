// Coroutines over a reactor: Task<T>, and Tasks that runs them.
//
// A task is lazy: it runs when it is awaited or spawned, on the thread that does so, which here is the loop's. It
// belongs to whoever holds it; destroying it while it is suspended cancels what it waits for and frees everything in
// it.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace ferry {

template <class T = void>
class Task;

namespace task_detail {

/// Goes on with whoever awaits the task, without growing the stack.
struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
    return finished.promise().awaiting;
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> awaiting = std::noop_coroutine();
  std::exception_ptr exception;

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <class Value>
  void return_value(Value&& result) {
    value.emplace(std::forward<Value>(result));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace task_detail

/// A coroutine that gives a T. Move only. `co_await std::move(task)`, or `co_await function()`, at most once; what it
/// threw is thrown there.
template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = task_detail::Promise<T>;

  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
        handle.promise().awaiting = awaiting;
        return handle;
      }
      T await_resume() const { return handle.promise().take(); }
    };
    return Awaiter{handle_};
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace task_detail {
template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}
}  // namespace task_detail

/// Tasks that run at once, for example one per client. Loop thread only. Destroy it before what the tasks refer to, and
/// not from inside one of them.
class Tasks {
 public:
  /// `on_error` is called with what a task threw; by default that is logged.
  explicit Tasks(std::function<void(std::exception_ptr)> on_error = {});
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;
  /// Cancels what is left, see cancel_all().
  ~Tasks() { cancel_all(); }

  /// Runs `task` until it first waits; from then on the loop does.
  void spawn(Task<void> task);
  /// Destroys the tasks that have not ended: what they wait for is cancelled, and their destructors run.
  void cancel_all() noexcept;
  std::size_t size() const noexcept { return size_; }

 private:
  struct Runner;
  static Runner run(Tasks& tasks, Task<void> task);
  void report(const std::exception_ptr& exception) noexcept;

  std::function<void(std::exception_ptr)> on_error_;
  void* first_ = nullptr;  ///< list of the runners' promises
  std::size_t size_ = 0;
};

}  // namespace ferry
