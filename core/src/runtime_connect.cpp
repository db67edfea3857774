// Links and lists of descriptors: which endpoints they mean, and trying those in order.
#include <algorithm>

#include "ferry/did_you_mean.hpp"
#include "plugin_call.hpp"
#include "runtime_state.hpp"

namespace ferry {
namespace {

constexpr std::int64_t default_connect_deadline_ns = 10'000'000'000;

// Every spelling of a descriptor has one of these; a link's name has none.
bool is_descriptor(std::string_view text) noexcept { return text.find_first_of(":/\\,") != std::string_view::npos; }

// Splits what is left evenly among the endpoints still to try, so that one that answers nothing leaves time for the
// others; a quick failure leaves its share to them.
Deadline share_of(Deadline deadline, std::size_t endpoints_left) noexcept {
  if (deadline.ns() == FERRY_FOREVER || deadline.ns() == FERRY_NO_WAIT) return deadline;
  const std::int64_t now = monotonic_now_ns();
  const std::int64_t left = std::max<std::int64_t>(deadline.ns() - now, 0);
  return Deadline::at_ns(now + left / static_cast<std::int64_t>(endpoints_left));
}

Status try_in_order(Runtime& runtime, const std::vector<ConfiguredEndpoint>& endpoints, Deadline deadline,
                    const ferry_cancel* cancel, Connection& out, std::vector<Attempt>& attempts) {
  Status status = Status::not_found;
  for (std::size_t index = 0; index < endpoints.size(); ++index) {
    attempts.emplace_back();
    status = attempt_endpoint(runtime, endpoints[index], share_of(deadline, endpoints.size() - index), cancel, out,
                              attempts.back());
    if (status == Status::ok || status == Status::interrupted) break;
  }
  return status;
}

[[noreturn]] void throw_attempts(Status status, std::string_view target, const std::vector<Attempt>& attempts) {
  if (attempts.size() == 1) {
    throw Error(attempts[0].status, "connect", attempts[0].descriptor, attempts[0].message);
  }
  std::string text = "no endpoint took the connection";
  for (const Attempt& attempt : attempts) text += "\n  " + attempt.descriptor + ": " + attempt.message;
  throw Error(status, "connect", std::string(target), text);
}

}  // namespace

Status attempt_endpoint(Runtime& runtime, const ConfiguredEndpoint& endpoint, Deadline deadline,
                        const ferry_cancel* cancel, Connection& out, Attempt& attempt) {
  attempt.descriptor = endpoint.endpoint.to_string();
  try {
    const ResolvedEndpoint resolved = runtime.resolve(endpoint);
    ferry_error error = empty_error();
    attempt.status = runtime.try_connect(resolved, deadline, cancel, out, error);
    if (attempt.status != Status::ok) throw_error(error, "connect", attempt.descriptor);
  } catch (const Error& error) {
    attempt.status = error.status();
    attempt.message = error.detail();
  }
  return attempt.status;
}

std::vector<ConfiguredEndpoint> Runtime::endpoints_of(std::string_view text) const {
  std::vector<ConfiguredEndpoint> endpoints;
  const auto& links = state_->config.links;
  if (const auto link = links.find(text); link != links.end()) {
    endpoints = link->second.endpoints;
    for (ConfiguredEndpoint& endpoint : endpoints) {
      endpoint.settings.insert(endpoint.settings.begin(), link->second.settings.begin(), link->second.settings.end());
    }
  } else if (is_descriptor(text)) {
    for (Endpoint& endpoint : parse_endpoints(text)) endpoints.push_back({std::move(endpoint), {}, {}});
  } else {
    std::vector<std::string_view> names;
    names.reserve(links.size());
    for (const auto& [name, unused] : links) names.emplace_back(name);
    throw Error(Status::not_found, "find link", std::string(text),
                "the configuration has no link of this name, and it is no descriptor" + did_you_mean(text, names));
  }
  std::vector<ConfiguredEndpoint> found;
  for (const ConfiguredEndpoint& endpoint : endpoints) {
    for (ConfiguredEndpoint& one : endpoints_of(endpoint)) found.push_back(std::move(one));
  }
  return found;
}

std::vector<ConfiguredEndpoint> Runtime::endpoints_of(const ConfiguredEndpoint& endpoint) const {
  if (endpoint.endpoint.scheme != local_scheme) return {endpoint};
  return local_endpoints(endpoint, state_->registry);
}

Connection Runtime::connect_stream(std::string_view target, Deadline deadline, std::vector<Attempt>* attempts,
                                   const ferry_cancel* cancel) {
  const auto link = state_->config.links.find(target);
  const bool is_link = link != state_->config.links.end();
  const std::int64_t limit_ns = is_link ? link->second.connect_deadline_ns : default_connect_deadline_ns;
  if (is_link || deadline.ns() == FERRY_FOREVER) {
    const Deadline limit = std::chrono::nanoseconds(limit_ns);
    deadline = Deadline::at_ns(std::min(deadline.ns(), limit.ns()));
  }
  const std::vector<ConfiguredEndpoint> endpoints = endpoints_of(target);
  const bool race = is_link && link->second.race && endpoints.size() > 1;
  std::vector<Attempt> made;
  Connection connection;
  const Status status = race ? race_endpoints(*this, endpoints, deadline, cancel, connection, made)
                             : try_in_order(*this, endpoints, deadline, cancel, connection, made);
  if (attempts != nullptr) *attempts = made;
  if (status != Status::ok) throw_attempts(status, target, made);
  return connection;
}

Channel Runtime::connect(std::string_view target) {
  Channel channel(connect_stream(target));
  const auto link = state_->config.links.find(target);
  if (link != state_->config.links.end() && !link->second.authkey.empty()) {
    channel.authenticate_as_client(link->second.authkey);
  }
  return channel;
}

}  // namespace ferry
