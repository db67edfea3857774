#include "json_tree.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "text.hpp"

namespace ferry {
namespace {

using nlohmann::json;

/// Walks the text token by token. Used only over text that the JSON parser has accepted so far, so it need not check.
class TokenCursor {
 public:
  explicit TokenCursor(std::string_view text) noexcept : text_(text) {}

  /// The offset at which the next token begins, separators and comments skipped; moves past that token.
  std::size_t next() noexcept {
    skip_separators();
    const std::size_t begin = at_;
    if (peek() == '"') {
      skip_string();
    } else if (is_bracket(peek())) {
      ++at_;
    } else {
      while (at_ < text_.size() && !is_separator(peek()) && !is_bracket(peek()) && peek() != '/') ++at_;
    }
    return begin;
  }
  std::size_t offset() const noexcept { return at_; }
  /// The bytes of the token that began at `begin` and was moved past last.
  std::string_view token(std::size_t begin) const noexcept { return text_.substr(begin, at_ - begin); }

 private:
  static bool is_bracket(char c) noexcept { return c == '{' || c == '}' || c == '[' || c == ']'; }
  static bool is_separator(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ':';
  }
  char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_separators() noexcept {
    for (;;) {
      while (at_ < text_.size() && is_separator(text_[at_])) ++at_;
      const std::string_view rest = text_.substr(at_);
      std::size_t end = 0;
      if (rest.starts_with("//")) {
        end = rest.find('\n');
      } else if (rest.starts_with("/*")) {
        end = rest.find("*/", 2);
        if (end != std::string_view::npos) end += 2;
      } else {
        return;
      }
      at_ = end == std::string_view::npos ? text_.size() : at_ + end;
    }
  }

  void skip_string() noexcept {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? std::size_t{2} : std::size_t{1};
    if (at_ < text_.size()) ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class TreeBuilder : public json::json_sax_t {
 public:
  TreeBuilder(const ConfigSource& source, JsonNode& root, ConfigProblems& problems)
      : source_(source), root_(root), problems_(problems), cursor_(source.text()) {}

  bool null() override { return add(JsonNode::Type::null, {}); }
  bool boolean(bool value) override { return add(JsonNode::Type::boolean, value ? "true" : "false"); }
  bool number_integer(json::number_integer_t) override { return add_number(); }
  bool number_unsigned(json::number_unsigned_t) override { return add_number(); }
  bool number_float(json::number_float_t, const std::string&) override { return add_number(); }
  bool string(std::string& value) override { return add(JsonNode::Type::string, std::move(value)); }
  bool binary(json::binary_t&) override { return false; }  // does not occur in JSON text
  bool start_object(std::size_t) override { return open(JsonNode::Type::object); }
  bool start_array(std::size_t) override { return open(JsonNode::Type::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    const std::size_t begin = cursor_.next();
    const auto [first, is_new] = open_.back().keys.emplace(name, begin);
    if (!is_new) {
      const ConfigLocation where = source_.locate(first->second, {});
      problems_.add(source_.locate(begin, extend_pointer(pointer(), name)),
                    "duplicate key '" + text::excerpt(name) + "'; the first is at line " + std::to_string(where.line));
    }
    open_.back().next_is_duplicate = !is_new;
    next_name_ = name;
    next_name_begin_ = begin;
    return true;
  }

  bool parse_error(std::size_t read, const std::string&, const json::exception& error) override {
    std::size_t offset = read > 0 ? read - 1 : 0;
    const std::string message = explain(error.what());
    if (message.find(" - unexpected ") != std::string::npos)
      offset = std::min(offset, cursor_.next());  // its first byte
    problems_.add(source_.locate(offset, open_.empty() ? std::string() : pointer()), message);
    return false;
  }

 private:
  struct Level {
    JsonNode* node;
    std::map<std::string, std::size_t> keys;
    bool next_is_duplicate = false;
  };

  std::string pointer() const {
    std::string out;
    for (std::size_t i = 1; i < open_.size(); ++i) {
      const JsonNode& parent = *open_[i - 1].node;
      const bool in_array = parent.type == JsonNode::Type::array;
      out = extend_pointer(out, in_array ? std::to_string(parent.items.size() - 1) : open_[i].node->name);
    }
    return out;
  }

  /// The parser's reason without its own position and without "last read", which may be a secret.
  static std::string explain(std::string_view what) {
    const std::size_t column = what.find(", column ");
    const std::size_t colon = column == std::string_view::npos ? column : what.find(": ", column);
    if (colon != std::string_view::npos) {
      what.remove_prefix(colon + 2);
    } else if (what.starts_with("[json.exception")) {
      what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    }
    std::string out(what.substr(0, what.find("; last read: ")));
    const std::size_t quote = out.find(" parsing '");  // a number out of range, quoted
    if (quote != std::string::npos) return "the number is out of range";
    const std::size_t expected = what.rfind("; expected ");
    if (out.size() < what.size() && expected != std::string_view::npos) out += what.substr(expected);
    return out;
  }

  JsonNode& place(JsonNode::Type type) {
    JsonNode* node = &root_;
    if (!open_.empty()) {
      Level& level = open_.back();
      JsonNode& parent = *level.node;
      if (level.next_is_duplicate) {
        level.next_is_duplicate = false;
        dropped_.push_back(std::make_unique<JsonNode>());
        node = dropped_.back().get();
      } else {
        node = &parent.items.emplace_back();
      }
      if (parent.type == JsonNode::Type::object) {
        node->name = std::move(next_name_);
        node->name_begin = next_name_begin_;
      }
    }
    node->type = type;
    node->begin = cursor_.next();
    return *node;
  }

  bool add(JsonNode::Type type, std::string text) {
    JsonNode& node = place(type);
    node.text = std::move(text);
    node.has_escapes = type == JsonNode::Type::string && cursor_.token(node.begin).size() != node.text.size() + 2;
    return true;
  }

  bool add_number() {
    JsonNode& node = place(JsonNode::Type::number);
    node.text = cursor_.token(node.begin);
    return true;
  }

  bool open(JsonNode::Type type) {
    JsonNode& node = place(type);
    open_.push_back({&node, {}});
    if (open_.size() <= max_config_depth) return true;
    problems_.add(source_.locate(node.begin, pointer()),
                  "nested deeper than " + std::to_string(max_config_depth) + " levels");
    return false;
  }

  bool close() {
    (void)cursor_.next();
    open_.pop_back();
    return true;
  }

  const ConfigSource& source_;
  JsonNode& root_;
  ConfigProblems& problems_;
  TokenCursor cursor_;
  std::vector<Level> open_;
  std::vector<std::unique_ptr<JsonNode>> dropped_;  // values of duplicate keys
  std::string next_name_;
  std::size_t next_name_begin_ = 0;
};

/// What nlohmann would let pass: a byte order mark, NUL as the end of the text, anything at all in comments.
bool check_text(const ConfigSource& source, ConfigProblems& problems) {
  const std::string_view text = source.text();
  if (text.size() > max_config_bytes) {
    problems.add(source.locate(max_config_bytes, {}),
                 "the file is larger than " + std::to_string(max_config_bytes >> 20) + " MiB");
    return false;
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    problems.add(source.locate(0, {}), "the file starts with a byte order mark; save it as UTF-8 without one");
    return false;
  }
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<std::uint8_t>(text[at]);
    const bool is_control = (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f;
    const std::size_t length = is_control ? 0 : text::utf8_length(text.substr(at));
    if (length == 0) {
      problems.add(source.locate(at, {}), text::name_byte(text[at]) + " is a control character or malformed UTF-8");
      return false;
    }
    at += length;
  }
  return true;
}

}  // namespace

std::string_view describe(JsonNode::Type type) noexcept {
  switch (type) {
    case JsonNode::Type::null:
      return "null";
    case JsonNode::Type::boolean:
      return "true or false";
    case JsonNode::Type::number:
      return "a number";
    case JsonNode::Type::string:
      return "text";
    case JsonNode::Type::array:
      return "a list";
    case JsonNode::Type::object:
      break;
  }
  return "an object";
}

bool parse_json(const ConfigSource& source, JsonNode& root, ConfigProblems& problems) {
  if (!check_text(source, problems)) return false;
  TreeBuilder builder(source, root, problems);
  const std::string_view text = source.text();
  return json::sax_parse(text.begin(), text.end(), &builder, json::input_format_t::json, true, true);
}

}  // namespace ferry
