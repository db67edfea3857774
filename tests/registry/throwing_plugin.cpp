// A plugin without the SDK's trampolines: its exception leaves `create` as it is.
#include <stdexcept>

#include "ferry/abi.h"

namespace {

const char* const schemes[] = {"throwing", nullptr};

ferry_status FERRY_CALL check_address(const char*, ferry_error*) { return FERRY_OK; }
ferry_status FERRY_CALL create(const ferry_host*, const ferry_values*, ferry_transport**, ferry_error*) {
  throw std::runtime_error("the fixture threw this");
}

constexpr ferry_plugin describe() {
  ferry_plugin plugin{};
  plugin.struct_size = sizeof(ferry_plugin);
  plugin.abi_major = FERRY_ABI_MAJOR;
  plugin.capabilities = FERRY_CAP_STREAM | FERRY_CAP_LOCAL;
  plugin.name = "throws_in_create";
  plugin.version = "1.0";
  plugin.description = "throws";
  plugin.licence = "Apache-2.0";
  plugin.schemes = schemes;
  plugin.check_address = check_address;
  plugin.create = create;
  return plugin;
}

}  // namespace

extern "C" FERRY_PLUGIN_EXPORT constinit const ferry_plugin ferry_plugin_v1 = describe();
