// Connects on threads of the reactor's own.
//
// A transport's connect may block in a resolver or a handshake and has only a blocking form. Rejected: libuv's thread
// pool, which is shared with the application's file work, has four threads by default and cannot be cancelled.
//
// A target that does not answer holds a thread for as long as its deadline lets it. So one target gets at most half of
// the threads that no other uses: 16, and beside it a second one 8, a third one 4. Its own connects wait behind each
// other, those to other targets do not.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "event.hpp"

namespace ferry {

/// Any thread. The destructor cancels what runs, drops what waits, and joins.
class ConnectPool {
 public:
  static constexpr std::size_t max_concurrent_connects = 32;  ///< further ones wait for their turn

  /// One connect. `target` is whatever tells targets apart. `run` is called on a thread of the pool, and returns soon
  /// once the event is set.
  struct Job {
    std::string target;
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
  struct Queue {
    std::deque<std::shared_ptr<Job>> waiting;
    std::size_t running = 0;
  };
  using Queues = std::map<std::string, Queue, std::less<>>;

  void work();
  Queues::iterator next() noexcept;
  void forget_empty(const std::string& target) noexcept;

  std::mutex mutex_;
  std::condition_variable wake_;
  Queues queues_;  // by target; none without a job
  std::size_t waiting_ = 0;
  std::vector<std::shared_ptr<Job>> running_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool ending_ = false;
};

}  // namespace ferry
