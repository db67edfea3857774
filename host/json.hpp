// JSON on standard output, in the order written, with invalid UTF-8 replaced rather than refused.
#pragma once

#include <iostream>
#include <nlohmann/json.hpp>

namespace ferry::host {

using Json = nlohmann::ordered_json;

/// One value, indented, for a person or a program that reads to the end.
inline void print_json(const Json& value) {
  std::cout << value.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
}

/// One value on one line, flushed, for a program that follows along.
inline void print_json_line(const Json& value) {
  std::cout << value.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

}  // namespace ferry::host
