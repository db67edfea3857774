// The core's side of cold calls into a plugin. No exception may cross the boundary, but one of a plugin without the
// SDK's trampolines can; it becomes FERRY_INTERNAL with its text rather than the end of the process.
#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>

#include "ferry/abi.h"
#include "ferry/error.hpp"

namespace ferry {

inline ferry_error empty_error() noexcept {
  ferry_error error{};
  error.struct_size = sizeof(error);
  return error;
}

inline ferry_status set_error(ferry_error& error, ferry_status status, const std::string& message) noexcept {
  error.status = status;
  error.os_error = 0;
  const std::size_t size = std::min(message.size(), sizeof(error.message) - 1);
  std::memcpy(error.message, message.data(), size);
  error.message[size] = '\0';
  return status;
}

/// Runs `call` and returns its status, also in `error.status`.
template <class Call>
ferry_status call_plugin(ferry_error& error, Call&& call) {
  try {
    return error.status = call();
  } catch (const std::exception& exception) {
    return set_error(error, FERRY_INTERNAL, std::string("the plugin let an exception out: ") + exception.what());
  } catch (...) {
    return set_error(error, FERRY_INTERNAL, "the plugin let an exception out that is no std::exception");
  }
}

/// Runs `call`, which takes the error to fill, and throws Error unless it returns FERRY_OK.
template <class Call>
void checked_call(const char* operation, const std::string& target, Call&& call) {
  ferry_error error = empty_error();
  if (call_plugin(error, [&] { return call(&error); }) != FERRY_OK) throw_error(error, operation, target);
}

}  // namespace ferry
