#include "options.hpp"

#include "ferry/options.hpp"

namespace ferry::host {

Argument add_duration(Command verb, const std::string& name, std::int64_t& ns, const std::string& help) {
  return verb
      .option_read_by(
          name,
          [&ns, name](const std::string& text) {
            std::string problem;
            if (!parse_duration(text, ns, problem)) refuse_value(name, problem);
          },
          help)
      .value_name("DURATION");
}

}  // namespace ferry::host
