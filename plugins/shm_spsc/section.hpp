// Objects with names that nobody can guess, by which two processes of Windows come to share them.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "ferry/sdk/security_descriptor.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::shm_spsc {

/// What the names of one connection's objects have in common: the listener draws it, and tells its client alone.
using Token = std::array<std::byte, 16>;

/// Throws Failure(NO_RESOURCES).
Token draw_token();

/// The name of the object `part` of the connection, within the session that both processes belong to.
std::wstring object_name(const Token& token, std::wstring_view part);

/// An event that resets itself when it has woken somebody. Throws Failure.
plugin::UniqueHandle make_named_event(const std::wstring& name, const plugin::SecurityDescriptor& security);
/// One that the other process has made. Throws Failure.
plugin::UniqueHandle open_named_event(const std::wstring& name);

/// Memory that two processes map. A segment is made in one whose first two members say how, or is opened in its third.
struct Section {
  std::wstring name;                                     ///< none: for this process alone
  const plugin::SecurityDescriptor* security = nullptr;  ///< of one with a name
  plugin::UniqueHandle handle;
};

/// One that the other process has made. Throws Failure.
Section open_section(const std::wstring& name);

}  // namespace ferry::shm_spsc
