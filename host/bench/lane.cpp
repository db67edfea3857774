#include "bench/lane.hpp"

#include <system_error>

#include "bench/channel_side.hpp"
#include "bench/reactor_side.hpp"
#include "ferry/deadline.hpp"

namespace ferry::bench {
namespace {

constexpr auto start_deadline = std::chrono::seconds(20);

std::string receive_address(Control& control) {
  std::uint32_t size = 0;
  std::string address;
  if (control.read_all(&size, sizeof(size))) {
    address.resize(size);
    if (control.read_all(address.data(), size)) return address;
  }
  throw Error(Status::reset, "start", "bench peer", "it ended before it listened; its message is above");
}

void send_address(Control& control, const std::string& address) {
  const auto size = static_cast<std::uint32_t>(address.size());
  control.write_all(&size, sizeof(size));
  control.write_all(address.data(), address.size());
}

std::vector<std::string> peer_arguments(const LaneSpec& spec, const std::vector<std::filesystem::path>& plugin_dirs) {
  std::vector<std::string> words;
  for (const auto& dir : plugin_dirs) words.insert(words.end(), {"--plugin-dir", dir.string()});
  words.insert(words.end(),
               {"bench-peer", spec.descriptor, "--mover", std::to_string(static_cast<unsigned>(spec.mover)),
                "--directory", spec.directory, "--cpu", std::to_string(spec.peer_cpu)});
  if (spec.spinning) words.emplace_back("--spinning");
  return words;
}

std::unique_ptr<Side> make_side(Mover mover, Connection connection) {
  return mover == Mover::reactor ? make_reactor_side(std::move(connection)) : make_channel_side(std::move(connection));
}

}  // namespace

Lane::Lane(const LaneSpec& spec, Runtime& runtime, const std::vector<std::filesystem::path>& plugin_dirs)
    : peer_(start_peer(peer_arguments(spec, plugin_dirs))) {
  try {
    const std::string address = receive_address(*peer_);
    if (spec.mover == Mover::raw) {
      side_ = baseline_connect(spec.descriptor, address, spec.spinning);
    } else {
      Endpoint dial = parse_endpoint(address);
      dial.options = parse_endpoint(spec.descriptor).options;
      side_ = make_side(spec.mover, runtime.connect_stream(dial.to_string(), start_deadline));
    }
  } catch (...) {
    peer_->kill();
    throw;
  }
}

Lane::~Lane() {
  if (broken_) peer_->kill();
}

RoundCost Lane::run(const Round& round, std::vector<std::int64_t>* latencies) {
  peer_->write_all(&round, sizeof(round));
  broken_ = true;
  const std::int64_t cpu_before = side_->cpu_ns();
  const std::int64_t start = monotonic_now_ns();
  side_->lead(round, latencies);
  RoundCost cost{monotonic_now_ns() - start, side_->cpu_ns() - cpu_before};
  // Both sides have left the round before the next begins: a reactor would else count its first messages to this one.
  std::int64_t peer_cpu_ns = 0;
  if (!peer_->read_all(&peer_cpu_ns, sizeof(peer_cpu_ns)))
    throw Error(Status::reset, "run", "bench peer", "it ended inside a round");
  broken_ = false;
  cost.cpu_ns += peer_cpu_ns;
  return cost;
}

void serve_lane(const LaneSpec& spec, Runtime& runtime) {
  const std::unique_ptr<Control> control = control_of_driver();
  pin_to(spec.peer_cpu);
  std::unique_ptr<Side> side;
  if (spec.mover == Mover::raw) {
    const std::unique_ptr<BaselineListener> listener = baseline_listen(spec.descriptor, spec.directory);
    send_address(*control, listener->address());
    side = listener->accept(spec.spinning);
  } else {
    Listener listener = runtime.listen(spec.descriptor);
    send_address(*control, listener.descriptor());
    side = make_side(spec.mover, listener.accept(start_deadline));
  }
  Round round;
  while (control->read_all(&round, sizeof(round))) {
    const std::int64_t before = side->cpu_ns();
    side->follow(round);
    const std::int64_t used = side->cpu_ns() - before;
    control->write_all(&used, sizeof(used));
  }
}

}  // namespace ferry::bench
