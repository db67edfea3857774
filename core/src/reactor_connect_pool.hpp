// Connects on threads of the reactor's own.
//
// A transport's connect may block in a resolver or a handshake and has only a blocking form. Rejected: libuv's thread
// pool, which is shared with the application's file work, has four threads by default and cannot be cancelled.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "event.hpp"

namespace ferry {

/// Any thread. The destructor cancels what runs, drops what waits, and joins.
class ConnectPool {
 public:
  static constexpr std::size_t max_concurrent_connects = 16;  ///< further ones wait for their turn

  /// One connect. `run` is called on a thread of the pool, and returns soon once the event is set.
  struct Job {
    Event cancel;
    std::function<void(const ferry_cancel&)> run;
  };

  ConnectPool() = default;
  ConnectPool(const ConnectPool&) = delete;
  ConnectPool& operator=(const ConnectPool&) = delete;
  ~ConnectPool();

  void start(std::shared_ptr<Job> job);
  /// A job that has not begun is dropped; one that has is told to return.
  void cancel(const std::shared_ptr<Job>& job) noexcept;

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::vector<std::shared_ptr<Job>> running_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool ending_ = false;
};

}  // namespace ferry
