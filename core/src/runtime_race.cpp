#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "event.hpp"
#include "runtime_state.hpp"

namespace ferry {
namespace {

constexpr std::int64_t stagger_ns = 250'000'000;  // RFC 8305, section 5: Connection Attempt Delay

class Race {
 public:
  Race(Runtime& runtime, const std::vector<ConfiguredEndpoint>& endpoints, Deadline deadline,
       const ferry_cancel* cancel)
      : runtime_(runtime), endpoints_(endpoints), deadline_(deadline), cancel_(cancel), lanes_(endpoints.size()) {}
  // An attempt that is still under way when something throws must not outlive what it uses.
  ~Race() { stop(); }

  Status run(Connection& out, std::vector<Attempt>& attempts) {
    while (winner_ == nullptr && !interrupted_ && (started_ < lanes_.size() || running() > 0)) {
      if (started_ < lanes_.size() && (running() == 0 || failed_since_start_ || monotonic_now_ns() >= next_start_ns_)) {
        start_next();
      } else {
        wait();
      }
      collect();
    }
    stop();
    collect();
    return report(out, attempts);
  }

 private:
  struct Lane {
    Connection connection;
    Attempt attempt;
    bool finished = false;  // guarded by mutex_; with it, what the thread wrote above
    bool counted = false;
    std::thread thread;
  };

  std::size_t running() const noexcept { return started_ - finished_; }

  void start_next() {
    Lane& lane = lanes_[started_];
    const ConfiguredEndpoint& endpoint = endpoints_[started_];
    lane.thread = std::thread([this, &lane, &endpoint] {
      const ferry_cancel stop = stop_.cancel();
      attempt_endpoint(runtime_, endpoint, deadline_, &stop, lane.connection, lane.attempt);
      {
        const std::lock_guard lock(mutex_);
        lane.finished = true;
      }
      news_.set();
    });
    ++started_;
    failed_since_start_ = false;
    next_start_ns_ = monotonic_now_ns() + stagger_ns;
  }

  void stop() {
    stop_.set();
    for (Lane& lane : lanes_) {
      if (lane.thread.joinable()) lane.thread.join();
    }
  }

  void collect() {
    news_.clear();  // before looking: a lane that finishes after the look sets it again
    const std::lock_guard lock(mutex_);
    for (Lane& lane : lanes_) {
      if (!lane.finished || lane.counted) continue;
      lane.counted = true;
      ++finished_;
      if (lane.attempt.status != Status::ok) {
        failed_since_start_ = true;
      } else if (winner_ == nullptr) {
        winner_ = &lane;
      }
    }
  }

  void wait() {
    // Every attempt under way ends at the deadline by itself; waking early is one more turn of the loop.
    const Deadline next_start = started_ < lanes_.size() ? Deadline::at_ns(next_start_ns_) : Deadline::never();
    if (news_.wait_beside(cancel_, next_start)) interrupted_ = true;
  }

  Status report(Connection& out, std::vector<Attempt>& attempts) {
    Status status = interrupted_ ? Status::interrupted : Status::not_found;
    for (Lane& lane : lanes_) {
      if (!lane.counted) continue;
      if (&lane == winner_) {
        out = std::move(lane.connection);
      } else if (lane.connection) {
        lane.connection.abort();
        lane.attempt.status = Status::interrupted;
        lane.attempt.message = "connected, but another endpoint was first";
      } else if (!interrupted_) {
        status = lane.attempt.status;
      }
      attempts.push_back(std::move(lane.attempt));
    }
    return winner_ != nullptr ? Status::ok : status;
  }

  Runtime& runtime_;
  const std::vector<ConfiguredEndpoint>& endpoints_;
  const Deadline deadline_;
  const ferry_cancel* const cancel_;
  Event stop_;  // set for good once the race is decided: the losers' cancel handle
  Event news_;
  std::mutex mutex_;
  std::vector<Lane> lanes_;
  std::size_t started_ = 0;
  std::size_t finished_ = 0;
  bool failed_since_start_ = false;
  bool interrupted_ = false;
  std::int64_t next_start_ns_ = 0;
  Lane* winner_ = nullptr;
};

}  // namespace

Status race_endpoints(Runtime& runtime, const std::vector<ConfiguredEndpoint>& endpoints, Deadline deadline,
                      const ferry_cancel* cancel, Connection& out, std::vector<Attempt>& attempts) {
  return Race(runtime, endpoints, deadline, cancel).run(out, attempts);
}

}  // namespace ferry
