#include "ferry/options.hpp"
#include "ferry/wait_policy.hpp"

namespace ferry {

namespace {
constexpr std::int64_t longest_bound_ns = 1'000'000'000;
}

bool WaitPolicy::parse(std::string_view text, WaitPolicy& policy, std::string& problem) {
  if (text == "off") {
    policy = WaitPolicy(Mode::off, 0);
    return true;
  }
  if (text == "auto") {
    policy = WaitPolicy();
    return true;
  }
  std::int64_t bound_ns = 0;
  std::string why;
  if (!parse_duration(text, bound_ns, why)) {
    problem = "expected off, auto or a duration such as 20us, not \"" + std::string(text) + "\"";
    return false;
  }
  if (bound_ns < 0 || bound_ns > longest_bound_ns) {
    problem = "a spin bound is from 0 to 1s, not " + std::string(text);
    return false;
  }
  policy = bound_ns == 0 ? WaitPolicy(Mode::off, 0) : WaitPolicy(Mode::bounded, bound_ns);
  return true;
}

}  // namespace ferry
