// Reads the first page of a would-be library to say in plain words why the loader cannot take it.
//
// The loader's own text is poor for some files ("cannot open shared object file: No such file or directory" for another
// processor's library) and, worse, it maps a truncated file and dies of SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ferry {

struct ElfVerdict {
  std::string problem;         ///< empty when nothing speaks against loading
  bool may_ask_loader = true;  ///< false when the loader itself could crash on the file
};

inline constexpr std::size_t elf_head_bytes = 4096;

/// @param head       the file's first bytes, up to elf_head_bytes
/// @param file_size  bytes of the whole file
ElfVerdict examine_elf(std::span<const std::byte> head, std::uint64_t file_size);

}  // namespace ferry
