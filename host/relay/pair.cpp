#include "relay/pair.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ferry::host {
namespace {

constexpr std::size_t other(std::size_t side) { return 1 - side; }

}  // namespace

Pair::Pair(Reactor& reactor, Scratch& scratch, Connection client, Connection target, Done done)
    : reactor_(reactor),
      scratch_(scratch),
      ends_{End{std::move(client)}, End{std::move(target)}},
      flows_{Flow(ends_[0].connection, ends_[1].connection), Flow(ends_[1].connection, ends_[0].connection)},
      done_(std::move(done)) {
  for (std::size_t end : {0u, 1u}) {
    ends_[end].readiness = std::make_unique<Readiness>(
        reactor.loop(), ends_[end].connection.raw(), [this, end](ferry_interest interest) { on_ready(end, interest); });
  }
}

Pair::~Pair() {
  for (End& end : ends_) {
    end.readiness.reset();
    if (end.connection) end.connection.abort();
  }
}

void Pair::start() {
  const auto alive = shared_from_this();
  run(0);
  if (!reported_ && !finishing_) run(1);
}

void Pair::cut() {
  const auto alive = shared_from_this();
  abort(Status::interrupted);
}

void Pair::on_ready(std::size_t end, ferry_interest interest) {
  const auto alive = shared_from_this();
  if (finishing_) return finish(end);
  run(interest == FERRY_READ ? end : other(end));
}

void Pair::run(std::size_t flow) {
  if (flows_[flow].finished()) return;
  switch (flows_[flow].run(scratch_)) {
    case Flow::Wait::source:
      if (last_words_ && flows_[flow].drained()) return conclude();
      return ends_[flow].readiness->want(FERRY_READ);
    case Flow::Wait::sink:
      return ends_[other(flow)].readiness->want(FERRY_WRITE);
    case Flow::Wait::source_failed:
      return abort(flows_[flow].status());
    case Flow::Wait::both_ended:
      last_words_ = true;
      return flows_[other(flow)].finished() ? conclude() : run(other(flow));
    case Flow::Wait::ended:
    case Flow::Wait::sink_failed:
      // The sink may have sent its last words before it went: the reverse flow delivers them, and its end or reset
      // decides how the pair ends.
      if (flows_[flow].status() != Status::ok) status_ = flows_[flow].status();
      if (flows_[other(flow)].finished()) conclude();
  }
}

void Pair::conclude() {
  finishing_ = true;
  finish(0);
  finish(1);
}

// What was written must be out of this process's hands before close. There is no bound but the relay's own drain: a
// peer that reads slowly after it ended its direction is as alive as before. An acknowledgement from the network makes
// no descriptor ready, so the clock looks again as well.
void Pair::finish(std::size_t end) {
  if (reported_ || ends_[end].finished) return;
  End& ending = ends_[end];
  ferry_connection* raw = ending.connection.raw();
  const ferry_status status = raw->ops->finish(raw, FERRY_NO_WAIT);
  if (status == FERRY_WOULD_BLOCK) {
    ending.readiness->want(FERRY_READ);
    ending.look_again = reactor_.call_at(std::chrono::nanoseconds(ending.look_again_ns), [this, end] {
      const auto alive = shared_from_this();
      finish(end);
    });
    ending.look_again_ns = std::min(2 * ending.look_again_ns, last_look_ns);
    return;
  }
  if (status != FERRY_OK && status_ == Status::ok) status_ = static_cast<Status>(status);
  ending.finished = true;
  ending.readiness.reset();
  raw = ending.connection.release();
  raw->ops->close(raw);
  if (ends_[other(end)].finished) report();
}

void Pair::abort(Status why) {
  status_ = why;
  for (End& end : ends_) {
    end.readiness.reset();
    if (end.connection) end.connection.abort();
  }
  report();
}

void Pair::report() {
  if (std::exchange(reported_, true)) return;
  done_(*this, Outcome{flows_[0].ledger(), flows_[1].ledger(), status_});
}

}  // namespace ferry::host
