#include <utility>

#include "ferry/connection.hpp"
#include "ferry/endpoint.hpp"
#include "plugin_call.hpp"
#include "plugin_check.hpp"

namespace ferry {

bool is_of_one_client(Status accept_status) noexcept {
  return accept_status == Status::reset || accept_status == Status::permission || accept_status == Status::protocol ||
         accept_status == Status::authentication;
}

Listener::Listener(ferry_listener* raw, const Plugin* plugin, Connection::Settings settings, std::string scheme)
    : raw_(raw), plugin_(plugin), settings_(settings), scheme_(std::move(scheme)) {
  const std::string problem = problem_of(raw);
  if (problem.empty()) return;
  const bool can_close = FERRY_HAS(raw, ferry_listener, ops) && FERRY_HAS(raw->ops, ferry_listener_ops, close);
  if (can_close) raw->ops->close(raw);
  raw_ = nullptr;
  throw Error(Status::internal, "use listener", scheme_, problem + "; update the plugin");
}

Listener::Listener(Listener&& other) noexcept { *this = std::move(other); }

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this == &other) return *this;
  close();
  raw_ = std::exchange(other.raw_, nullptr);
  plugin_ = other.plugin_;
  settings_ = other.settings_;
  scheme_ = std::move(other.scheme_);
  return *this;
}

Listener::~Listener() { close(); }

Status Listener::try_accept(Connection& out, Deadline deadline, ferry_error* error) {
  ferry_connection* raw = nullptr;
  const ferry_status status = raw_->ops->accept(raw_, deadline.ns(), &raw, error);
  if (status != FERRY_OK) return static_cast<Status>(status);
  try {
    Connection accepted(raw, plugin_, settings_, scheme_);
    const ferry_connection_info facts = accepted.info();
    accepted.descriptor_ = facts.peer_address[0] != '\0' ? Endpoint{scheme_, facts.peer_address, {}}.to_string()
                                                         : "a client of " + descriptor();
    out = std::move(accepted);
    return Status::ok;
  } catch (const Error& problem) {
    if (error != nullptr) set_error(*error, static_cast<ferry_status>(problem.status()), problem.detail());
    return problem.status();
  }
}

Connection Listener::accept(Deadline deadline) {
  ferry_error error{};
  error.struct_size = sizeof(error);
  Connection accepted;
  const Status status = try_accept(accepted, deadline, &error);
  if (status == Status::ok) return accepted;
  error.status = static_cast<ferry_status>(status);
  throw_error(error, "accept", descriptor());
}

std::string Listener::descriptor() const {
  const ferry_listener_ops* ops = raw_->ops;
  std::string address(128, '\0');
  std::uint32_t needed = ops->local_address(raw_, address.data(), static_cast<std::uint32_t>(address.size()));
  if (needed > address.size()) {
    address.resize(needed);
    needed = ops->local_address(raw_, address.data(), needed);
  }
  address.resize(needed == 0 ? 0 : needed - 1);
  return Endpoint{scheme_, address, {}}.to_string();
}

void Listener::interrupt() noexcept { raw_->ops->interrupt(raw_); }

void Listener::close() noexcept {
  if (raw_ != nullptr) raw_->ops->close(std::exchange(raw_, nullptr));
}

}  // namespace ferry
