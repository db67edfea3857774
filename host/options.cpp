#include "options.hpp"

#include "ferry/options.hpp"

namespace ferry::host {

CLI::Option* add_duration(CLI::App& verb, const std::string& name, std::int64_t& ns, const std::string& help) {
  return verb
      .add_option_function<std::string>(
          name,
          [&ns, name](const std::string& text) {
            std::string problem;
            if (!parse_duration(text, ns, problem)) throw CLI::ValidationError(name, problem);
          },
          help)
      ->type_name("DURATION");
}

}  // namespace ferry::host
