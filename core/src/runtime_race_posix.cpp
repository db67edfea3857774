#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "ferry/sdk/unique_fd.hpp"
#include "runtime_state.hpp"

namespace ferry {
namespace {

constexpr std::int64_t stagger_ns = 250'000'000;  // RFC 8305, section 5: Connection Attempt Delay

plugin::UniqueFd make_event() {
  plugin::UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw Error(Status::no_resources, "race endpoints", "", "cannot make an event descriptor", errno);
  return event;
}

// A full counter is as readable as one more: EAGAIN is no failure.
void set_event(const plugin::UniqueFd& event) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof(one));
}
void clear_event(const plugin::UniqueFd& event) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(event.get(), &count, sizeof(count));
}

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
      const ferry_cancel stop{sizeof(ferry_cancel), 0, stop_.get()};
      attempt_endpoint(runtime_, endpoint, deadline_, &stop, lane.connection, lane.attempt);
      {
        const std::lock_guard lock(mutex_);
        lane.finished = true;
      }
      set_event(news_);
    });
    ++started_;
    failed_since_start_ = false;
    next_start_ns_ = monotonic_now_ns() + stagger_ns;
  }

  void stop() {
    set_event(stop_);
    for (Lane& lane : lanes_) {
      if (lane.thread.joinable()) lane.thread.join();
    }
  }

  void collect() {
    clear_event(news_);  // before looking: a lane that finishes after the look sets it again
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
    std::array<pollfd, 2> events{{{news_.get(), POLLIN, 0}, {-1, POLLIN, 0}}};
    const bool cancellable = cancel_ != nullptr && cancel_->handle >= 0;
    if (cancellable) events[1].fd = static_cast<int>(cancel_->handle);
    int timeout_ms = -1;  // every attempt under way ends at the deadline by itself
    if (started_ < lanes_.size()) {
      const std::int64_t left_ns = std::max<std::int64_t>(next_start_ns_ - monotonic_now_ns(), 0);
      timeout_ms = static_cast<int>((left_ns + 999'999) / 1'000'000);
    }
    ::poll(events.data(), events.size(), timeout_ms);  // an EINTR is one more turn of the loop
    if (events[1].revents != 0) interrupted_ = true;
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
  plugin::UniqueFd stop_ = make_event();  // readable for good once the race is decided: the losers' cancel handle
  plugin::UniqueFd news_ = make_event();
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
