#include "ferry/error.hpp"

#include <cstring>

#include "ferry/sdk/os_error.hpp"

namespace ferry {
namespace {

struct StatusText {
  Status status;
  std::string_view name;
  std::string_view text;
  std::errc condition;  // errc{} when no errno means the same
};

// In the order of the ABI's numbers, so that a status is its own negated index.
constexpr StatusText table[] = {
    {Status::ok, "ok", "success", std::errc{}},
    {Status::would_block, "would_block", "not ready, and the call must not wait", std::errc::operation_would_block},
    {Status::timed_out, "timed_out", "the deadline passed", std::errc::timed_out},
    {Status::end, "end", "the peer ended the connection", std::errc{}},
    {Status::interrupted, "interrupted", "interrupted", std::errc::operation_canceled},
    {Status::reset, "reset", "connection reset by the peer", std::errc::connection_reset},
    {Status::refused, "refused", "connection refused", std::errc::connection_refused},
    {Status::unreachable, "unreachable", "host or network unreachable", std::errc::host_unreachable},
    {Status::address_in_use, "address_in_use", "address already in use", std::errc::address_in_use},
    {Status::not_found, "not_found", "not found", std::errc::no_such_file_or_directory},
    {Status::permission, "permission", "permission denied", std::errc::permission_denied},
    {Status::invalid, "invalid", "invalid argument", std::errc::invalid_argument},
    {Status::unsupported, "unsupported", "not supported", std::errc::not_supported},
    {Status::no_resources, "no_resources", "out of descriptors, memory or a configured limit",
     std::errc::not_enough_memory},
    {Status::too_large, "too_large", "larger than the limit", std::errc::message_size},
    {Status::protocol, "protocol", "the peer broke the protocol", std::errc::protocol_error},
    {Status::closed, "closed", "already closed", std::errc::broken_pipe},
    {Status::authentication, "authentication", "authentication failed", std::errc{}},
    {Status::io, "io", "input/output error", std::errc::io_error},
    {Status::internal, "internal", "internal defect", std::errc{}},
};

constexpr bool in_order() {
  int index = 0;
  for (const StatusText& row : table) {
    if (static_cast<int>(row.status) != -index++) return false;
  }
  return true;
}
static_assert(in_order() && std::size(table) == -FERRY_INTERNAL + 1);

const StatusText* find(std::int32_t status) noexcept {
  if (status > FERRY_OK || status < FERRY_INTERNAL) return nullptr;
  return &table[-status];
}

class StatusCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ferry"; }
  std::string message(int value) const override { return std::string(describe(static_cast<Status>(value))); }
  std::error_condition default_error_condition(int value) const noexcept override {
    const StatusText* row = find(value);
    if (row == nullptr || (row->condition == std::errc{} && row->status != Status::ok)) return {value, *this};
    return std::make_error_condition(row->condition);
  }
};

// The system's text first, as every tool prints it; a detail that already quotes it stands alone.
std::string compose_detail(Status status, const std::string& detail, int os_error) {
  if (os_error == 0) return detail.empty() ? std::string(describe(status)) : detail;
  const std::string os_text = plugin::os_text(os_error);
  if (detail.empty()) return os_text;
  return detail.find(os_text) != std::string::npos ? detail : os_text + " (" + detail + ")";
}

std::string compose(const std::string& operation, const std::string& target, const std::string& detail) {
  std::string text = operation;
  if (!text.empty() && !target.empty()) text += ' ';
  text += target;
  return text.empty() ? detail : text + ": " + detail;
}

}  // namespace

const std::error_category& status_category() noexcept {
  static const StatusCategory category;
  return category;
}

std::error_code make_error_code(Status status) noexcept { return {static_cast<int>(status), status_category()}; }

std::string_view describe(Status status) noexcept {
  const StatusText* row = find(static_cast<std::int32_t>(status));
  return row != nullptr ? row->text : "a status that the ABI does not define";
}

std::string_view name_of(Status status) noexcept {
  const StatusText* row = find(static_cast<std::int32_t>(status));
  return row != nullptr ? row->name : "undefined";
}

Error::Error(Status status, std::string operation, std::string target, const std::string& detail, int os_error)
    : std::system_error(make_error_code(status)),
      operation_(std::move(operation)),
      target_(std::move(target)),
      detail_(compose_detail(status, detail, os_error)),
      what_(compose(operation_, target_, detail_)),
      os_error_(os_error) {}

void throw_error(const ferry_error& error, std::string operation, std::string target) {
  // A plugin wrote this struct: neither its status nor the end of its text can be relied on.
  const std::string message(error.message, ::strnlen(error.message, sizeof(error.message)));
  if (error.status >= FERRY_OK || find(error.status) == nullptr) {
    throw Error(Status::internal, std::move(operation), std::move(target),
                "the plugin returned status " + std::to_string(error.status) + ", which the ABI does not define" +
                    (message.empty() ? "" : ": " + message));
  }
  throw Error(static_cast<Status>(error.status), std::move(operation), std::move(target), message, error.os_error);
}

}  // namespace ferry
