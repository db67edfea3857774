// Strict JSON with // and /* */ comments as a tree in which every value and key knows its byte in the file.
//
// nlohmann's SAX parser decides what is JSON; it gives no positions and lets the last of duplicate keys win, so the
// handler follows the same tokens through the text to find where each begins, and reports duplicates itself.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config_problems.hpp"

namespace ferry {

struct JsonNode {
  enum class Type : unsigned char { null, boolean, number, string, array, object };
  Type type = Type::null;
  std::size_t begin = 0;        ///< offset of the value's first byte
  std::size_t name_begin = 0;   ///< offset of the key's opening quote, for members of objects
  bool has_escapes = false;     ///< of a string: its bytes in the file are not those of `text`
  std::string name;             ///< of a member
  std::string text;             ///< decoded string; number as written; "true" or "false"
  std::vector<JsonNode> items;  ///< elements or members, in order; of duplicate members only the first
};

/// "a list", "a number", … for messages.
std::string_view describe(JsonNode::Type type) noexcept;

/// Reads `source` into `root`. Adds what is wrong to `problems` and returns false when the text is no JSON, is too
/// large or too deep; duplicate keys are added too and do not stop it.
bool parse_json(const ConfigSource& source, JsonNode& root, ConfigProblems& problems);

}  // namespace ferry
