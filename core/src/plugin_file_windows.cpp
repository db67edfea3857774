// A plugin's file on Windows: who owns it and its folder, and whom their access control lists let write.
#include <windows.h>
// after windows.h
#include <aclapi.h>
#include <fcntl.h>
#include <io.h>

#include <array>
#include <memory>

#include "ferry/error.hpp"
#include "ferry/registry.hpp"
#include "plugin_file.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

constexpr DWORD write_to_file =
    FILE_WRITE_DATA | FILE_APPEND_DATA | DELETE | WRITE_DAC | WRITE_OWNER | GENERIC_WRITE | GENERIC_ALL;
constexpr DWORD write_to_folder =
    FILE_ADD_FILE | FILE_DELETE_CHILD | WRITE_DAC | WRITE_OWNER | GENERIC_WRITE | GENERIC_ALL;

[[noreturn]] void refuse(Status status, const fs::path& file, const std::string& reason, DWORD os_error = 0) {
  throw Error(status, "load plugin", file.string(), reason, static_cast<int>(os_error));
}

Status status_of(DWORD error) noexcept {
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
      return Status::not_found;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
      return Status::permission;
    case ERROR_TOO_MANY_OPEN_FILES:
      return Status::no_resources;
    default:
      return Status::io;
  }
}

/// An open handle of a file or folder.
class Opened {
 public:
  Opened(const fs::path& path, DWORD access, DWORD sharing) noexcept
      : handle_(::CreateFileW(path.c_str(), access, sharing, nullptr, OPEN_EXISTING,
                              FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, nullptr)) {}
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() {
    if (*this) ::CloseHandle(handle_);
  }
  explicit operator bool() const noexcept { return handle_ != INVALID_HANDLE_VALUE; }
  HANDLE get() const noexcept { return handle_; }
  HANDLE release() noexcept { return std::exchange(handle_, INVALID_HANDLE_VALUE); }

 private:
  HANDLE handle_;
};

using SidBuffer = std::array<std::byte, SECURITY_MAX_SID_SIZE>;

bool is_well_known(PSID sid, WELL_KNOWN_SID_TYPE type) noexcept { return ::IsWellKnownSid(sid, type) != FALSE; }

/// "NT SERVICE\TrustedInstaller", which owns what Windows itself installs.
bool is_trusted_installer(PSID sid) noexcept {
  static constexpr std::array<DWORD, 6> parts{80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464};
  if (*::GetSidSubAuthorityCount(sid) != parts.size()) return false;
  for (DWORD i = 0; i < parts.size(); ++i) {
    if (*::GetSidSubAuthority(sid, i) != parts[i]) return false;
  }
  return true;
}

bool is_own(PSID sid) noexcept {
  HANDLE token = nullptr;
  if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &token) == FALSE) return false;
  alignas(TOKEN_USER) std::array<std::byte, sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE> user;
  DWORD size = 0;
  const bool known = ::GetTokenInformation(token, TokenUser, user.data(), user.size(), &size) != FALSE;
  ::CloseHandle(token);
  return known && ::EqualSid(reinterpret_cast<const TOKEN_USER*>(user.data())->User.Sid, sid) != FALSE;
}

bool is_trusted(PSID sid) noexcept {
  return is_own(sid) || is_well_known(sid, WinLocalSystemSid) || is_well_known(sid, WinBuiltinAdministratorsSid) ||
         is_trusted_installer(sid);
}

std::string name_of(PSID sid) {
  std::array<wchar_t, 256> name{}, domain{};
  DWORD name_size = name.size(), domain_size = domain.size();
  SID_NAME_USE use;
  if (::LookupAccountSidW(nullptr, sid, name.data(), &name_size, domain.data(), &domain_size, &use) == FALSE) {
    return "an unknown account";
  }
  return fs::path(domain[0] != 0 ? std::wstring(domain.data()) + L"\\" + name.data() : name.data()).string();
}

/// Says which account that is not trusted owns the object or may write to it; empty when none does.
std::string trust_problem(HANDLE object, const std::string& what, DWORD writing) {
  PSID owner = nullptr;
  PACL list = nullptr;
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const DWORD failure =
      ::GetSecurityInfo(object, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner, nullptr,
                        &list, nullptr, &descriptor);
  if (failure != ERROR_SUCCESS) return what + ": cannot read who may write to it";
  const std::unique_ptr<void, decltype(&::LocalFree)> freed(descriptor, &::LocalFree);
  if (!is_trusted(owner)) return what + " is owned by " + name_of(owner) + ", not by this user or an administrator";
  if (list == nullptr) return what + " is writable by everybody: it has no access control list";
  for (DWORD i = 0; i < list->AceCount; ++i) {
    void* entry = nullptr;
    if (::GetAce(list, i, &entry) == FALSE) return what + ": its access control list cannot be read";
    const auto& ace = *static_cast<const ACCESS_ALLOWED_ACE*>(entry);
    if ((ace.Header.AceFlags & INHERIT_ONLY_ACE) != 0 || ace.Header.AceType == ACCESS_DENIED_ACE_TYPE) continue;
    if (ace.Header.AceType != ACCESS_ALLOWED_ACE_TYPE)
      return what + " has an access control entry of a kind unknown here";
    const PSID who = const_cast<DWORD*>(&ace.SidStart);
    if ((ace.Mask & writing) == 0 || is_trusted(who) || is_well_known(who, WinCreatorOwnerSid)) continue;
    return what + " is writable by " + name_of(who) + "; take that away with icacls";
  }
  return {};
}

void check_folder(const fs::path& folder, const fs::path& target) {
  const Opened opened(folder, READ_CONTROL, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
  if (!opened) refuse(status_of(::GetLastError()), target, "cannot examine " + folder.string(), ::GetLastError());
  const std::string problem = trust_problem(opened.get(), "the directory " + folder.string(), write_to_folder);
  if (!problem.empty()) refuse(Status::permission, target, problem);
}

FileIdentity identity_of(const BY_HANDLE_FILE_INFORMATION& found) noexcept {
  const auto wide = [](DWORD high, DWORD low) { return std::uint64_t{high} << 32 | low; };
  const auto ns = [&](const FILETIME& time) {
    return static_cast<std::int64_t>(wide(time.dwHighDateTime, time.dwLowDateTime) * 100);
  };
  return {found.dwVolumeSerialNumber, wide(found.nFileIndexHigh, found.nFileIndexLow),
          wide(found.nFileSizeHigh, found.nFileSizeLow), ns(found.ftLastWriteTime), ns(found.ftCreationTime)};
}

fs::path canonical_folder(const fs::path& folder, const fs::path& target) {
  std::error_code failure;
  fs::path canonical = fs::canonical(folder, failure);
  if (failure) refuse(Status::not_found, target, "the directory " + folder.string() + " is not there");
  return canonical;
}

}  // namespace

FileIdentity identity_of(const fs::path& path) noexcept {
  const Opened opened(path, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
  BY_HANDLE_FILE_INFORMATION found;
  if (!opened || ::GetFileInformationByHandle(opened.get(), &found) == FALSE) return {};
  return identity_of(found);
}

void check_plugin_folder(const fs::path& directory) { check_folder(canonical_folder(directory, directory), directory); }

PluginFile open_plugin_file(const fs::path& file) {
  PluginFile result;
  result.path = canonical_folder(fs::absolute(file).parent_path(), file) / file.filename();
  check_folder(result.path.parent_path(), result.path);
  Opened opened(result.path, GENERIC_READ, FILE_SHARE_READ);
  if (!opened) refuse(status_of(::GetLastError()), result.path, "", ::GetLastError());
  BY_HANDLE_FILE_INFORMATION found;
  if (::GetFileInformationByHandle(opened.get(), &found) == FALSE) {
    refuse(Status::io, result.path, "cannot examine it", ::GetLastError());
  }
  if ((found.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
    refuse(Status::invalid, result.path, "it is a link; put the file itself in the directory");
  }
  if ((found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
    refuse(Status::invalid, result.path, "it is a directory, not a file");
  }
  const std::string problem = trust_problem(opened.get(), "the file", write_to_file);
  if (!problem.empty()) refuse(Status::permission, result.path, problem);
  result.identity = identity_of(found);
  result.fd.reset(::_open_osfhandle(reinterpret_cast<std::intptr_t>(opened.get()), _O_RDONLY | _O_BINARY));
  if (!result.fd) refuse(Status::no_resources, result.path, "out of descriptors");
  static_cast<void>(opened.release());  // the descriptor's
  return result;
}

}  // namespace ferry
