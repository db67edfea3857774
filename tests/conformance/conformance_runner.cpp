// The suite as ctest runs it: `ferry conform` without the rest of ferry, and with every allocation counted.
#include <iostream>

#include "suite/conform.hpp"

int main(int argc, char** argv) {
  CLI::App app("Runs the conformance suite against one transport plugin.", "conformance_runner");
  app.allow_windows_style_options(false);  // a path may begin with a slash
  ferry::conformance::Settings settings;
  ferry::conformance::add_options(app, settings);
  app.add_flag("--json", settings.json, "Print the results as JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    return ferry::conformance::run(settings, {});
  } catch (const std::exception& error) {
    std::cerr << "conformance_runner: " << error.what() << std::endl;
    return 1;
  }
}
