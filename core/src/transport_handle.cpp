#include "transport_handle.hpp"

#include "plugin_call.hpp"
#include "plugin_check.hpp"

namespace ferry {

TransportHandle create_transport(const Plugin& plugin, const OptionValues& options) {
  const std::string name(plugin.name());
  ferry_error error = empty_error();
  ferry_transport* made = nullptr;
  const ferry_values values = options.abi();
  const ferry_status status =
      call_plugin(error, [&] { return plugin.abi().create(&host_for(name), &values, &made, &error); });
  if (status != FERRY_OK) throw_error(error, "create transport", name);
  const std::string problem = problem_of(made);
  if (!problem.empty()) throw Error(Status::internal, "create transport", name, problem);
  return TransportHandle(made);
}

}  // namespace ferry
