// What the configuration may hold: the one description behind validation, the JSON Schema and docs/reference/config.md.
// Scalar keys are rows of the same kind as a plugin's options, so both are parsed, checked and described alike.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ferry/abi.h"

namespace ferry {

struct ConfigShape;

enum class KeyKind : std::uint8_t {
  scalar,      ///< as `row` says
  ignored,     ///< text for editors ("$schema")
  texts,       ///< a list of texts
  digests,     ///< plugin name → 64 hexadecimal digits
  options,     ///< option name → value
  schemes,     ///< scheme → options
  descriptor,  ///< one descriptor
  endpoints,   ///< a list of descriptors and endpoint objects
  target,      ///< a link's name, descriptors, an endpoint object, or a list of these
  object,      ///< `shape`
  named,       ///< name → `shape`
  list         ///< a list of `shape`
};

struct ConfigKey {
  std::string_view name;
  KeyKind kind;
  bool is_required;
  std::string_view help;
  ferry_option row;          ///< of scalars
  const ConfigShape* shape;  ///< of object, named and list
};

struct ConfigShape {
  std::string_view title;
  std::span<const ConfigKey> keys;
  bool takes_core_options;  ///< the core's options (spin, linger, …) are keys as well

  const ConfigKey* find(std::string_view name) const noexcept;
};

extern const ConfigShape root_shape;
extern const ConfigShape plugins_shape;
extern const ConfigShape link_shape;
extern const ConfigShape service_shape;
extern const ConfigShape log_shape;
extern const ConfigShape endpoint_shape;

}  // namespace ferry
