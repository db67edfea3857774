// Who may open an object that has a name in Windows.
#pragma once

#include <windows.h>

#include <memory>
#include <string>
#include <string_view>

namespace ferry::plugin {

class SecurityDescriptor {
 public:
  /// From an SDDL string; empty: the user of this process may do everything, and nobody else anything. Throws
  /// Failure(INVALID) for a string that is none.
  explicit SecurityDescriptor(std::string_view sddl);

  /// For the calls that make objects; child processes do not inherit the handle.
  SECURITY_ATTRIBUTES attributes() const noexcept { return {sizeof(SECURITY_ATTRIBUTES), descriptor_.get(), FALSE}; }

 private:
  struct Free {
    void operator()(void* descriptor) const noexcept { ::LocalFree(descriptor); }
  };
  std::unique_ptr<void, Free> descriptor_;
};

/// UTF-8 as Windows takes it; what is no UTF-8 becomes U+FFFD.
std::wstring wide(std::string_view text);

}  // namespace ferry::plugin
