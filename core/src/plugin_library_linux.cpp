#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <array>
#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "ferry/error.hpp"
#include "plugin_elf.hpp"
#include "plugin_library.hpp"

namespace ferry {
namespace {

[[noreturn]] void refuse(const PluginFile& file, const std::string& reason) {
  throw Error(Status::invalid, "load plugin", file.path.string(), reason);
}

ElfVerdict examine(const PluginFile& file) {
  std::array<std::byte, elf_head_bytes> head{};
  const ssize_t count = ::pread(file.fd.get(), head.data(), head.size(), 0);
  if (count < 0) throw Error(Status::io, "load plugin", file.path.string(), "cannot read it", errno);
  return examine_elf(std::span(head).first(static_cast<std::size_t>(count)), file.identity.size);
}

// Boost.DLL wraps what dlerror said: "… (dlerror system message: TEXT): Bad file descriptor".
std::string loader_words(std::string_view wrapped) {
  constexpr std::string_view marker = "(dlerror system message: ";
  const std::size_t start = wrapped.find(marker);
  const std::size_t end = wrapped.rfind(')');
  if (start == std::string_view::npos || end == std::string_view::npos || end < start) return std::string(wrapped);
  return std::string(wrapped.substr(start + marker.size(), end - start - marker.size()));
}

struct OpenedLibrary {
  PluginFile file;  // its descriptor stays open when the library was opened through it
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

boost::dll::shared_library ask_loader(const PluginFile& file, const std::string& path, const ElfVerdict& verdict) {
  namespace mode = boost::dll::load_mode;
  try {
    return boost::dll::shared_library(path, mode::rtld_now | mode::rtld_local);
  } catch (const std::exception& failure) {
    const std::string words = "the loader says: " + loader_words(failure.what());
    refuse(file, verdict.problem.empty() ? words : verdict.problem + " (" + words + ")");
  }
}

// The loader knows a library by the path it was opened with. So a file that replaced an opened one is opened through
// its descriptor, or the old library would be returned; and such a descriptor stays open, or the next file that gets
// its number would be taken for this library.
const OpenedLibrary& open_for_good(PluginFile file, bool exact_bytes, const ElfVerdict& verdict) {
  const std::lock_guard lock(opened().mutex);
  for (const auto& known : opened().libraries) {
    if (known->file.identity == file.identity) return *known;
    exact_bytes = exact_bytes || known->file.path == file.path;
  }
  const std::string path = exact_bytes ? "/proc/self/fd/" + std::to_string(file.fd.get()) : file.path.string();
  auto library = std::make_unique<OpenedLibrary>();
  library->library = ask_loader(file, path, verdict);
  library->file = std::move(file);
  if (!exact_bytes) library->file.fd.reset();
  opened().libraries.push_back(std::move(library));
  return *opened().libraries.back();
}

PluginLibrary find_symbol(const PluginFile& file, const boost::dll::shared_library& library) {
  if (!library.has(FERRY_PLUGIN_SYMBOL)) {
    refuse(file,
           "it does not export " FERRY_PLUGIN_SYMBOL ": it is no Ferry plugin, or the symbol is hidden or mangled");
  }
  PluginLibrary found;
  found.symbol = &library.get<const ferry_plugin>(FERRY_PLUGIN_SYMBOL);
  Dl_info info{};
  const ElfW(Sym)* entry = nullptr;
  if (::dladdr1(found.symbol, &info, reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&entry)), RTLD_DL_SYMENT) == 0 ||
      entry == nullptr) {
    refuse(file, FERRY_PLUGIN_SYMBOL " is not in the library that was opened");
  }
  if (ELF64_ST_TYPE(entry->st_info) != STT_OBJECT)
    refuse(file, FERRY_PLUGIN_SYMBOL " is a function or untyped; it must be data of type ferry_plugin");
  found.symbol_size = entry->st_size;
  return found;
}

}  // namespace

PluginLibrary open_library(PluginFile file, bool exact_bytes) {
  const ElfVerdict verdict = examine(file);
  if (!verdict.may_ask_loader) refuse(file, verdict.problem);
  const OpenedLibrary& library = open_for_good(std::move(file), exact_bytes, verdict);
  if (!library.file.fd && identity_of(library.file.path) != library.file.identity) {
    refuse(library.file, "the file was exchanged while it was being loaded; load it again");
  }
  return find_symbol(library.file, library.library);
}

}  // namespace ferry
