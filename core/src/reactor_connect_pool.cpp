#include "reactor_connect_pool.hpp"

#include <algorithm>
#include <utility>

namespace ferry {

ConnectPool::~ConnectPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (auto& [target, queue] : queues_) queue.waiting.clear();
    for (const auto& job : running_) job->cancel.set();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ConnectPool::start(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    // The thread first: if the system gives none and there is none yet, nothing was queued.
    if (waiting_ >= idle_ && threads_.size() < max_concurrent_connects) {
      threads_.emplace_back([this] { work(); });
      ++idle_;
    }
    queues_[job->target].waiting.push_back(std::move(job));
    ++waiting_;
  }
  wake_.notify_one();
}

void ConnectPool::cancel(const std::shared_ptr<Job>& job) noexcept {
  job->cancel.set();
  const std::lock_guard lock(mutex_);
  const auto queue = queues_.find(job->target);
  if (queue == queues_.end()) return;
  waiting_ -= std::erase(queue->second.waiting, job);
  forget_empty(job->target);
}

void ConnectPool::forget_empty(const std::string& target) noexcept {
  const auto queue = queues_.find(target);
  if (queue->second.waiting.empty() && queue->second.running == 0) queues_.erase(queue);
}

/// Of the targets that have a thread coming to them the one that has fewest.
ConnectPool::Queues::iterator ConnectPool::next() noexcept {
  auto next = queues_.end();
  for (auto it = queues_.begin(); it != queues_.end(); ++it) {
    const Queue& queue = it->second;
    const std::size_t left_by_others = max_concurrent_connects - (running_.size() - queue.running);
    if (queue.waiting.empty() || queue.running >= std::max<std::size_t>(left_by_others / 2, 1)) continue;
    if (next == queues_.end() || queue.running < next->second.running) next = it;
  }
  return next;
}

void ConnectPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto queue = queues_.end();
    wake_.wait(lock, [&] { return ending_ || (queue = next()) != queues_.end(); });
    if (ending_) return;
    --idle_;
    --waiting_;
    const std::shared_ptr<Job> job = std::move(queue->second.waiting.front());
    queue->second.waiting.pop_front();
    ++queue->second.running;
    running_.push_back(job);
    lock.unlock();
    job->run(job->cancel.cancel());
    lock.lock();
    std::erase(running_, job);
    --queue->second.running;
    forget_empty(job->target);
    ++idle_;
    wake_.notify_one();  // this thread takes the next, and one more may have become possible
  }
}

}  // namespace ferry
