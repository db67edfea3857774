#include "ferry/task.hpp"
#include "reactor_core.hpp"

namespace ferry {

/// The outermost coroutine of a spawned task: stands in the list of its Tasks and frees itself at the end.
struct Tasks::Runner {
  struct promise_type {
    promise_type(Tasks& owner, Task<void>&) noexcept : tasks(owner) {
      next = static_cast<promise_type*>(tasks.first_);
      if (next != nullptr) next->previous = this;
      tasks.first_ = this;
      ++tasks.size_;
    }
    promise_type(const promise_type&) = delete;
    promise_type& operator=(const promise_type&) = delete;
    ~promise_type() {
      if (next != nullptr) next->previous = previous;
      if (previous != nullptr) {
        previous->next = next;
      } else {
        tasks.first_ = next;
      }
      --tasks.size_;
    }

    Runner get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { tasks.report(std::current_exception()); }

    Tasks& tasks;
    promise_type* next = nullptr;
    promise_type* previous = nullptr;
  };
};

Tasks::Tasks(std::function<void(std::exception_ptr)> on_error) : on_error_(std::move(on_error)) {}

Tasks::Runner Tasks::run(Tasks&, Task<void> task) { co_await std::move(task); }

void Tasks::spawn(Task<void> task) { (void)run(*this, std::move(task)); }

void Tasks::cancel_all() noexcept {
  while (first_ != nullptr) {
    std::coroutine_handle<Runner::promise_type>::from_promise(*static_cast<Runner::promise_type*>(first_)).destroy();
  }
}

void Tasks::report(const std::exception_ptr& exception) noexcept {
  if (!on_error_ || !ReactorCore::run_handler("on_error", [&] { on_error_(exception); })) {
    ReactorCore::log_exception("task", exception);
  }
}

}  // namespace ferry
