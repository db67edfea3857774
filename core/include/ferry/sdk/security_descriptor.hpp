// Who may open an object that has a name in Windows.
#pragma once

#include <windows.h>

#include <memory>
#include <string>
#include <string_view>

namespace ferry::plugin {

class SecurityDescriptor {
 public:
  /// From an SDDL string: the user of this process may do everything, and others what its access control list says;
  /// without one, nothing. Throws Failure(INVALID) for a string that is none.
  explicit SecurityDescriptor(std::string_view sddl);

  /// For the calls that make objects; child processes do not inherit the handle.
  SECURITY_ATTRIBUTES attributes() const noexcept { return {sizeof(SECURITY_ATTRIBUTES), descriptor_.get(), FALSE}; }

 private:
  struct Free {
    void operator()(void* descriptor) const noexcept { ::LocalFree(descriptor); }
  };
  std::unique_ptr<void, Free> descriptor_;
};

/// True when this user, an administrator or the system made the pipe that `pipe` is an end of. Throws Failure.
bool is_trusted_owner(HANDLE pipe);

/// UTF-8 as Windows takes it; what is no UTF-8 becomes U+FFFD.
std::wstring wide(std::string_view text);

}  // namespace ferry::plugin
