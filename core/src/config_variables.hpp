// ${VAR} and ${VAR:-default} in the configuration's strings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferry {

struct Expansion {
  std::string text;
  bool is_hidden = false;  ///< holds a variable's value
  std::string problem;     ///< empty when all is well; names variables, never values
};

/// Puts environment variables in place. As in a shell, the default serves for an empty variable too; `$${` stands for
/// `${` itself. A variable that is unset and has no default is a problem.
Expansion expand_variables(std::string_view text);

}  // namespace ferry
