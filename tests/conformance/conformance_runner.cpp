// The suite as ctest runs it: `ferry conform` without the rest of ferry, and with every allocation counted.
#include <iostream>

#include "suite/conform.hpp"

int main(int argc, char** argv) {
  ferry::host::Program program("Runs the conformance suite against one transport plugin.");
  ferry::conformance::Settings settings;
  ferry::conformance::add_options(program, settings);
  program.flag("--json", settings.json, "Print the results as JSON");
  if (const auto code = program.parse(argc, argv)) return *code;
  try {
    return ferry::conformance::run(settings, {});
  } catch (const std::exception& error) {
    std::cerr << "conformance_runner: " << error.what() << std::endl;
    return 1;
  }
}
