// Layouts and numbers: System V ABI, chapters 4 and 5, as in <elf.h>.
#include <elf.h>
#include <link.h>

#include <cstring>

#include "plugin_elf.hpp"

// This program's own header, provided by the linker: what a plugin must match, without a table per processor.
extern "C" const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

namespace ferry {
namespace {

std::string machine_name(unsigned machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_386:
      return "x86";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return "riscv";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390";
    default:
      return "ELF machine " + std::to_string(machine);
  }
}

ElfVerdict truncated(std::uint64_t file_size, std::uint64_t needed) {
  return {"the file is truncated: it has " + std::to_string(file_size) + " bytes and needs " + std::to_string(needed) +
              "; copy it again",
          false};
}

// Every loadable segment must be in the file, or touching its pages raises SIGBUS.
ElfVerdict examine_segments(std::span<const std::byte> head, std::uint64_t file_size, const ElfW(Ehdr) & header) {
  const std::uint64_t table_end = header.e_phoff + std::uint64_t{header.e_phnum} * sizeof(ElfW(Phdr));
  if (header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phoff > elf_head_bytes || table_end > elf_head_bytes) {
    if (table_end > file_size && header.e_phoff <= elf_head_bytes) return truncated(file_size, table_end);
    return {"its program headers are not where a linker puts them", false};
  }
  if (table_end > head.size()) return truncated(file_size, table_end);
  for (unsigned index = 0; index < header.e_phnum; ++index) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, head.data() + header.e_phoff + index * sizeof(segment), sizeof(segment));
    if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC) continue;
    std::uint64_t end = 0;
    if (__builtin_add_overflow(segment.p_offset, segment.p_filesz, &end) || end > file_size) {
      return truncated(file_size, end);
    }
  }
  return {};
}

}  // namespace

ElfVerdict examine_elf(std::span<const std::byte> head, std::uint64_t file_size) {
  if (file_size == 0) return {"the file is empty"};
  if (head.size() < SELFMAG || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0) {
    return {"it is no ELF library; a plugin is what the linker made with -shared"};
  }
  if (head.size() < sizeof(ElfW(Ehdr))) return truncated(file_size, sizeof(ElfW(Ehdr)));
  ElfW(Ehdr) header;
  std::memcpy(&header, head.data(), sizeof(header));
  if (header.e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
      header.e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA]) {
    return {"it is built for another word size or byte order than this process"};
  }
  if (header.e_machine != __ehdr_start.e_machine) {
    return {"it is built for " + machine_name(header.e_machine) + ", this process runs on " +
            machine_name(__ehdr_start.e_machine)};
  }
  if (header.e_type != ET_DYN) return {"it is an ELF file but no shared library (build it with -shared)", false};
  return examine_segments(head, file_size, header);
}

}  // namespace ferry
