#include <windows.h>
// after windows.h
#include <io.h>

#include <array>
#include <boost/dll/shared_library.hpp>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "ferry/error.hpp"
#include "plugin_library.hpp"

namespace ferry {
namespace {

[[noreturn]] void refuse(const PluginFile& file, const std::string& reason) {
  throw Error(Status::invalid, "load plugin", file.path.string(), reason);
}

std::string machine_name(WORD machine) {
  switch (machine) {
    case IMAGE_FILE_MACHINE_AMD64:
      return "x86-64";
    case IMAGE_FILE_MACHINE_I386:
      return "x86";
    case IMAGE_FILE_MACHINE_ARM64:
      return "ARM64";
    default:
      return "machine " + std::to_string(machine);
  }
}

const IMAGE_NT_HEADERS& headers_of(const void* module) noexcept {
  const auto* const base = static_cast<const std::byte*>(module);
  return *reinterpret_cast<const IMAGE_NT_HEADERS*>(base + static_cast<const IMAGE_DOS_HEADER*>(module)->e_lfanew);
}

/// The loader's own text for all of these is "%1 is not a valid Win32 application". Layout: Microsoft's PE format.
void examine(const PluginFile& file) {
  std::array<char, 4096> head{};
  const int count = ::_read(file.fd.get(), head.data(), head.size());
  if (count == 0) refuse(file, "the file is empty");
  IMAGE_DOS_HEADER dos;
  std::memcpy(&dos, head.data(), sizeof(dos));
  if (dos.e_magic != IMAGE_DOS_SIGNATURE) refuse(file, "it is no DLL; a plugin is what the linker made with -shared");
  IMAGE_NT_HEADERS headers;
  const auto at = static_cast<std::size_t>(dos.e_lfanew);
  if (dos.e_lfanew < 0 || at > head.size() - sizeof(headers)) refuse(file, "its header is not where a linker puts it");
  std::memcpy(&headers, head.data() + at, sizeof(headers));
  if (headers.Signature != IMAGE_NT_SIGNATURE) refuse(file, "it is no DLL");
  const WORD own = headers_of(::GetModuleHandleW(nullptr)).FileHeader.Machine;
  if (headers.FileHeader.Machine != own) {
    refuse(file, "it is built for " + machine_name(headers.FileHeader.Machine) + ", this process runs on " +
                     machine_name(own));
  }
  if ((headers.FileHeader.Characteristics & IMAGE_FILE_DLL) == 0) refuse(file, "it is a program, not a DLL");
}

struct OpenedLibrary {
  std::filesystem::path path;
  FileIdentity identity;
  boost::dll::shared_library library;
};

// Reached for the life of the process and never destroyed: closing a library is what must not happen.
struct Opened {
  std::mutex mutex;
  std::vector<std::unique_ptr<OpenedLibrary>> libraries;
};
Opened& opened() {
  static auto* const instance = new Opened();
  return *instance;
}

// `file` stays open meanwhile, which keeps everybody from writing to, replacing or removing it. The loader knows a
// module by its path, so a file that took an opened one's place cannot be opened beside it.
const boost::dll::shared_library& open_for_good(const PluginFile& file) {
  const std::lock_guard lock(opened().mutex);
  for (const auto& known : opened().libraries) {
    if (known->identity == file.identity) return known->library;
    if (known->path == file.path) {
      refuse(file,
             "an older file of this path is in use until the process ends, and Windows opens no other by the same "
             "name; put the new one in another folder");
    }
  }
  auto library = std::make_unique<OpenedLibrary>();
  try {
    // Libraries that it needs are looked for beside it, never in the current directory.
    library->library = boost::dll::shared_library(file.path, boost::dll::load_mode::load_with_altered_search_path);
  } catch (const std::exception& failure) {
    refuse(file, std::string("the loader says: ") + failure.what());
  }
  library->path = file.path;
  library->identity = file.identity;
  opened().libraries.push_back(std::move(library));
  return opened().libraries.back()->library;
}

/// The section that holds `address`. A DLL's symbols have no sizes; the rest of the section bounds what may be read.
const IMAGE_SECTION_HEADER* section_of(const std::byte* base, const std::byte* address) noexcept {
  const IMAGE_NT_HEADERS& headers = headers_of(base);
  const IMAGE_SECTION_HEADER* const sections = IMAGE_FIRST_SECTION(&headers);
  for (WORD i = 0; i < headers.FileHeader.NumberOfSections; ++i) {
    const std::byte* const start = base + sections[i].VirtualAddress;
    if (address >= start && address < start + sections[i].Misc.VirtualSize) return &sections[i];
  }
  return nullptr;
}

}  // namespace

PluginLibrary open_library(PluginFile file, bool /*exact_bytes: always*/) {
  examine(file);
  const boost::dll::shared_library& library = open_for_good(file);
  if (!library.has(FERRY_PLUGIN_SYMBOL))
    refuse(file, "it does not export " FERRY_PLUGIN_SYMBOL ": it is no Ferry plugin");
  PluginLibrary found;
  found.symbol = &library.get<const ferry_plugin>(FERRY_PLUGIN_SYMBOL);
  const auto* const base = reinterpret_cast<const std::byte*>(library.native());
  const auto* const address = reinterpret_cast<const std::byte*>(found.symbol);
  const IMAGE_SECTION_HEADER* const section = section_of(base, address);
  if (section == nullptr) refuse(file, FERRY_PLUGIN_SYMBOL " is not in the library that was opened");
  if ((section->Characteristics & IMAGE_SCN_MEM_EXECUTE) != 0) {
    refuse(file, FERRY_PLUGIN_SYMBOL " is a function; it must be data of type ferry_plugin");
  }
  found.symbol_size = static_cast<std::size_t>(base + section->VirtualAddress + section->Misc.VirtualSize - address);
  return found;
}

}  // namespace ferry
