// Opens a checked file as a library and finds the plugin symbol in it.
#pragma once

#include <cstddef>
#include <string>

#include "ferry/abi.h"
#include "plugin_file.hpp"

namespace ferry {

/// A library is never closed once it was opened: its constructors have run, and threads, thread-local destructors and
/// static objects of C++ code cannot be taken back.
struct PluginLibrary {
  const ferry_plugin* symbol = nullptr;
  std::size_t symbol_size = 0;  ///< bytes, as the library's symbol table says
};

/// Opens the library. `exact_bytes`: open through the file's own descriptor, so that what was hashed is what is loaded
/// ($ORIGIN in the library's run path then means nothing); otherwise by path, and a file that was exchanged meanwhile
/// is refused. Runs the library's static constructors. Throws Error with the loader's own words.
PluginLibrary open_library(PluginFile file, bool exact_bytes);

}  // namespace ferry
