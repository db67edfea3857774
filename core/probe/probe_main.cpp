// ferry-probe FILE: the child of probe_plugin; see probe_report.hpp.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "ferry/probe.hpp"
#include "probe_process.hpp"
#include "probe_report.hpp"
#include "transport_handle.hpp"

namespace {

void report(const char* key, const nlohmann::ordered_json& value) {
  const nlohmann::ordered_json entry = {{key, value}};
  const std::string line = entry.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (!ferry::write_probe_report(line)) ::_exit(2);  // nobody reads the report
}

void probe(const char* file) {
  report("step", ferry::probe_step_open);
  ferry::RegistryPolicy policy;
  policy.use_environment = false;
  policy.use_default_dirs = false;
  ferry::Registry registry(policy);
  const ferry::Plugin& plugin = registry.load(file);
  report("step", ferry::probe_step_create);
  std::vector<std::string> problems;
  const auto options = ferry::OptionValues::resolve(plugin.options(), {}, problems);
  ferry::TransportHandle transport = ferry::create_transport(plugin, options);
  report("step", ferry::probe_step_destroy);
  transport.reset();
  report("plugin", nlohmann::ordered_json::parse(ferry::plugin_json(plugin)));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2 || !ferry::prepare_probe_process()) {
    std::fputs("ferry-probe is started by Ferry itself; use ferry inspect\n", stderr);
    return 2;
  }
  try {
    probe(arguments[1]);
  } catch (const ferry::Error& error) {
    report("refused", error.detail());
  } catch (const std::exception& error) {
    report("refused", error.what());
  }
  ::_exit(0);  // the plugin's static destructors are none of the report's business
}
