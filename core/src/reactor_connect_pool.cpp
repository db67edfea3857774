#include "reactor_connect_pool.hpp"

#include <algorithm>
#include <utility>

namespace ferry {

ConnectPool::~ConnectPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    waiting_.clear();
    for (const auto& job : running_) job->cancel.set();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ConnectPool::start(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    // The thread first: if the system gives none and there is none yet, nothing was queued.
    if (waiting_.size() >= idle_ && threads_.size() < max_concurrent_connects) {
      threads_.emplace_back([this] { work(); });
      ++idle_;
    }
    waiting_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void ConnectPool::cancel(const std::shared_ptr<Job>& job) noexcept {
  job->cancel.set();
  const std::lock_guard lock(mutex_);
  std::erase(waiting_, job);
}

void ConnectPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    --idle_;
    const std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    running_.push_back(job);
    lock.unlock();
    job->run(job->cancel.cancel());
    lock.lock();
    std::erase(running_, job);
    ++idle_;
  }
}

}  // namespace ferry
