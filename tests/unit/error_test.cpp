#include "ferry/error.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <ostream>

using ferry::Error;
using ferry::Status;

TEST_CASE("an error reads operation, target, the system's text, then what else is known") {
  const Error error(Status::permission, "connect", "uds:///run/x.sock", "socket is 0600, owned by uid 1000", EACCES);
  CHECK(std::string(error.what()) ==
        "connect uds:///run/x.sock: Permission denied (socket is 0600, owned by uid 1000)");
  CHECK(error.detail() == "Permission denied (socket is 0600, owned by uid 1000)");
  CHECK(error.status() == Status::permission);
  CHECK(error.os_error() == EACCES);
}

TEST_CASE("a detail that already quotes the system is not quoted twice") {
  CHECK(Error(Status::io, "read", "x", "No such file or directory: y", ENOENT).detail() ==
        "No such file or directory: y");
}

TEST_CASE("without a detail or target the status speaks") {
  CHECK(std::string(Error(Status::refused, "connect", "", "").what()) == "connect: connection refused");
}

TEST_CASE("a status compares equal to the errc of the same meaning and to no other") {
  CHECK(make_error_code(Status::refused) == std::errc::connection_refused);
  CHECK(make_error_code(Status::timed_out) == std::errc::timed_out);
  CHECK(make_error_code(Status::refused) != std::errc::timed_out);
  CHECK(make_error_code(Status::end) != std::errc{});
  CHECK_FALSE(make_error_code(Status::ok));
}

TEST_CASE("every status has a name and a phrase of its own; numbers outside the list have neither") {
  for (std::int32_t value = FERRY_OK; value >= FERRY_INTERNAL; --value) {
    const auto status = static_cast<Status>(value);
    CHECK(ferry::name_of(status) != "undefined");
    for (std::int32_t other = value - 1; other >= FERRY_INTERNAL; --other) {
      CHECK(ferry::describe(status) != ferry::describe(static_cast<Status>(other)));
    }
  }
  CHECK(ferry::name_of(static_cast<Status>(1)) == "undefined");
  CHECK(ferry::name_of(static_cast<Status>(FERRY_INTERNAL - 1)) == "undefined");
}

namespace {

std::string text_of(const ferry_error& reported, Status expected) {
  try {
    ferry::throw_error(reported, "connect", "x://y");
  } catch (const Error& error) {
    CHECK(error.status() == expected);
    return error.what();
  }
}

}  // namespace

TEST_CASE("what a plugin reported becomes an error, and an undefined status a defect of the plugin") {
  ferry_error reported{};
  reported.struct_size = sizeof(reported);
  reported.status = FERRY_REFUSED;
  reported.os_error = ECONNREFUSED;
  CHECK(text_of(reported, Status::refused) == "connect x://y: Connection refused");
  for (const ferry_status undefined : {0, 7, -77}) {
    reported.status = undefined;
    CHECK(text_of(reported, Status::internal).find("status " + std::to_string(undefined) + ", which the ABI") !=
          std::string::npos);
  }
}

TEST_CASE("a message that a plugin left without its NUL is cut at its end") {
  ferry_error reported{};
  reported.struct_size = sizeof(reported);
  reported.status = FERRY_IO;
  std::memset(reported.message, 'm', sizeof(reported.message));
  CHECK(text_of(reported, Status::io) == "connect x://y: " + std::string(FERRY_MESSAGE_SIZE, 'm'));
}
