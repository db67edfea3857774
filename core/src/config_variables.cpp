#include "config_variables.hpp"

#include <algorithm>
#include <cstdlib>

#include "text.hpp"

namespace ferry {
namespace {

constexpr std::size_t max_expanded_bytes = 65536;

bool is_name(std::string_view name) noexcept {
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || text::is_digit(c); });
}

/// `inside` is what stands between the braces.
void expand_one(std::string_view inside, Expansion& out) {
  const std::size_t separator = inside.find(":-");
  const std::string name(inside.substr(0, separator));
  if (!is_name(name)) {
    out.problem =
        "'" + text::excerpt(name) + "' is no variable's name; write ${NAME} or ${NAME:-default}, or $${ for ${ itself";
    return;
  }
  const char* const value = std::getenv(name.c_str());
  if (value != nullptr && (*value != '\0' || separator == std::string_view::npos)) {
    out.text += value;
    out.is_hidden = true;
  } else if (separator != std::string_view::npos) {
    out.text += inside.substr(separator + 2);
  } else {
    out.problem = "environment variable " + name + " is not set; set it, or write ${" + name + ":-default}";
  }
}

}  // namespace

Expansion expand_variables(std::string_view text) {
  Expansion out;
  while (!text.empty() && out.problem.empty()) {
    const std::size_t dollar = std::min(text.find('$'), text.size());
    out.text += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.starts_with("$${")) {
      out.text += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const std::size_t end = text.find('}');
      if (end == std::string_view::npos) {
        out.problem = "'${' without '}'; write ${NAME}, or $${ for ${ itself";
        break;
      }
      expand_one(text.substr(2, end - 2), out);
      text.remove_prefix(end + 1);
    } else if (!text.empty()) {
      out.text += '$';
      text.remove_prefix(1);
    }
    if (out.text.size() > max_expanded_bytes) {
      out.problem = "longer than " + std::to_string(max_expanded_bytes) + " bytes once its variables are put in place";
    }
  }
  return out;
}

}  // namespace ferry
