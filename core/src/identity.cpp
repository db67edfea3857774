#include "ferry/identity.hpp"

#include "plugin_call.hpp"

namespace ferry {
namespace {

std::string item_of(const ferry_identity& identity, const Connection& connection, ferry_identity_item item) {
  std::string out;
  // The same for the connection's life: the second call finds room for all of it.
  const std::int64_t size = identity.get(connection.raw(), item, nullptr, 0);
  if (size <= 0) return out;
  out.resize(static_cast<std::size_t>(size));
  (void)identity.get(connection.raw(), item, out.data(), out.size());
  return out;
}

const ferry_path& path_of(const Connection& connection, const char* operation) {
  if (const auto* path = connection.extension<ferry_path>(FERRY_EXT_PATH)) return *path;
  throw Error(Status::unsupported, operation, connection.descriptor(), "this transport keeps to one path");
}

}  // namespace

Identity identity_of(const Connection& connection) {
  Identity out;
  const auto* identity = connection.extension<ferry_identity>(FERRY_EXT_IDENTITY);
  if (identity == nullptr) return out;
  out.certificate = item_of(*identity, connection, FERRY_IDENTITY_CERTIFICATE);
  out.fingerprint = item_of(*identity, connection, FERRY_IDENTITY_FINGERPRINT);
  out.subject = item_of(*identity, connection, FERRY_IDENTITY_SUBJECT);
  out.protocol = item_of(*identity, connection, FERRY_IDENTITY_PROTOCOL);
  out.cipher = item_of(*identity, connection, FERRY_IDENTITY_CIPHER);
  out.resumed = item_of(*identity, connection, FERRY_IDENTITY_RESUMED) == "yes";
  out.early_data = item_of(*identity, connection, FERRY_IDENTITY_EARLY_DATA) == "yes";
  return out;
}

void move_to(Connection& connection, const std::string& local, Deadline deadline) {
  const ferry_path& path = path_of(connection, "move");
  checked_call("move", connection.descriptor(), [&](ferry_error* error) {
    return path.move(connection.raw(), local.empty() ? nullptr : local.c_str(), deadline.ns(), error);
  });
}

ferry_connection_info current_path(const Connection& connection) {
  ferry_connection_info out{};
  out.struct_size = sizeof(out);
  const ferry_path& path = path_of(connection, "ask for the path of");
  checked_call("ask for the path of", connection.descriptor(),
               [&](ferry_error*) { return path.current(connection.raw(), &out); });
  return out;
}

}  // namespace ferry
