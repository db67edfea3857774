// Every bad plugin gives its own clear error, and the good one beside it still loads.
#include "ferry/registry.hpp"

#include <elf.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include "plugin_folder.hpp"

namespace fs = std::filesystem;
using ferry::test::PluginFolder;

namespace {

ferry::RegistryPolicy only(const fs::path& folder) {
  ferry::RegistryPolicy policy;
  policy.plugin_dirs = {folder};
  policy.use_environment = false;
  policy.use_default_dirs = false;
  return policy;
}

// Loads everything in the folder; `good` must be loaded and one other file refused. Returns the reason.
std::string refusal_beside_good(const PluginFolder& folder, ferry::RegistryPolicy policy) {
  if (!fs::exists(folder.path() / "good.so")) folder.add("good");
  ferry::Registry registry(std::move(policy));
  const auto loaded = registry.load_all();
  REQUIRE(loaded.size() == 1);
  CHECK(loaded[0]->name() == "good");
  CHECK(&registry.for_scheme("good") == loaded[0]);
  const auto failures = registry.failures();
  REQUIRE(failures.size() == 1);
  return failures[0].reason;
}
std::string refusal_beside_good(const PluginFolder& folder) { return refusal_beside_good(folder, only(folder.path())); }

void check_contains(const std::string& text, const std::string& expected) {
  INFO(text);
  INFO("expected: ", expected);
  CHECK(text.find(expected) != std::string::npos);
}

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
std::string good_bytes() { return bytes_of(fs::path(FIXTURE_DIR) / "good.so"); }

// A copy of the good plugin under another name whose ELF header was changed.
template <class Change>
std::string refusal_of_changed_header(Change change) {
  const PluginFolder folder;
  std::string bytes = good_bytes();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  change(header);
  std::memcpy(bytes.data(), &header, sizeof(header));
  folder.write("changed.so", bytes);
  return refusal_beside_good(folder);
}

struct BadPlugin {
  const char* fixture;
  const char* reason;
};

}  // namespace

TEST_CASE("each defect in a library or its description is named, and the good plugin still loads") {
  constexpr BadPlugin bad_plugins[] = {
      {"no_symbol", "does not export ferry_plugin_v1"},
      {"symbol_is_a_function", "ferry_plugin_v1 is a function"},
      {"symbol_is_small", "but is only "},  // 8 bytes; ASan pads it
      {"undefined_symbol", "the loader says: "},
      {"undefined_symbol", "undefined symbol: a_function_that_nobody_defines"},
      {"missing_library", "libfixture_ghost.so: cannot open shared object file"},
      {"wrong_major", "built for ABI major version 2, this program speaks 1"},
      {"short_struct", "struct_size 16, and ABI 1.0 needs at least"},
      {"long_struct", "has struct_size 4096 but is only"},
      {"null_create", "create is NULL, and it is required"},
      {"null_check_address", "check_address is NULL, and it is required"},
      {"null_name", "name is NULL"},
      {"bad_name", "name is 'Bad-Name'; it must match"},
      {"other_name", "calls itself 'another'; its file must be another.so"},
      {"control_character", "description has a control character"},
      {"malformed_utf8", "malformed UTF-8"},
      {"null_schemes", "schemes is empty"},
      {"no_schemes", "schemes is empty"},
      {"bad_scheme", "schemes[0] is 'Tcp://'; it must match"},
      {"scheme_twice", "the scheme 'one' is listed twice"},
      {"scheme_of_good", "the scheme 'good' is taken by "},
      {"no_kind", "neither of FERRY_CAP_STREAM and FERRY_CAP_RECORDS"},
      {"both_kinds", "both of FERRY_CAP_STREAM and FERRY_CAP_RECORDS"},
      {"no_reach", "neither FERRY_CAP_LOCAL nor FERRY_CAP_REMOTE"},
      {"no_ephemeral_address", "ephemeral_address, which FERRY_CAP_EPHEMERAL promises, is NULL"},
      {"huge_option_count", "option_count is 4000000000, above the limit of 256"},
      {"null_options", "options is NULL, but option_count is 2"},
      {"small_stride", "option_stride is 8"},
      {"odd_stride", "option_stride breaks the rows' alignment"},
      {"short_option", "options[0] has struct_size 8"},
      {"bad_option_name", "options[0].name is 'No-Delay'"},
      {"null_option_name", "options[0].name is NULL"},
      {"option_twice", "the option 'eager' is listed twice"},
      {"unknown_option_type", "the option 'depth' has the unknown type 99"},
      {"bad_default", "the option 'depth' has a bad default: "},
      {"default_out_of_range", "the option 'depth' has a bad default: "},
      {"minimum_above_maximum", "the option 'depth' has a minimum above its maximum"},
      {"null_help", "the option 'depth': help is NULL"},
      {"no_choices", "the option 'depth' is a choice of nothing"},
  };
  for (const BadPlugin& bad : bad_plugins) {
    CAPTURE(bad.fixture);
    const PluginFolder folder;
    folder.add(bad.fixture);
    check_contains(refusal_beside_good(folder), bad.reason);
  }
}

TEST_CASE("a newer minor version never rejects a plugin") {
  const PluginFolder folder;
  ferry::Registry registry(only(folder.path()));
  CHECK(registry.load(folder.add("newer_minor")).abi().abi_minor == 7);
}

TEST_CASE("a name that is taken refuses the second plugin, from a directory further down the search path") {
  const PluginFolder first, second;
  first.add("good");
  second.add("good");
  auto policy = only(first.path());
  policy.plugin_dirs.push_back(second.path());
  check_contains(refusal_beside_good(first, policy), "the name 'good' is taken by " + first.path().string());
}

// ------------------------------------------------------------------------------------------- the file itself

TEST_CASE("a truncated library is refused without asking the loader, which would crash") {
  for (const std::size_t keep : {std::size_t{20}, sizeof(Elf64_Ehdr), std::size_t{100}, std::size_t{5000}}) {
    CAPTURE(keep);
    const PluginFolder folder;
    folder.write("cut.so", good_bytes().substr(0, keep));
    check_contains(refusal_beside_good(folder), "the file is truncated: it has " + std::to_string(keep) + " bytes");
  }
}

TEST_CASE("a library for another processor is named as such, with the loader's own words") {
  const std::string reason = refusal_of_changed_header(
      [](Elf64_Ehdr& header) { header.e_machine = header.e_machine == EM_AARCH64 ? EM_X86_64 : EM_AARCH64; });
  check_contains(reason, "it is built for ");
  check_contains(reason, "the loader says: ");
}

TEST_CASE("a library of another word size is named as such") {
  const std::string reason =
      refusal_of_changed_header([](Elf64_Ehdr& header) { header.e_ident[EI_CLASS] = ELFCLASS32; });
  check_contains(reason, "built for another word size");
  check_contains(reason, "wrong ELF class");
}

TEST_CASE("an object file is no library") {
  check_contains(refusal_of_changed_header([](Elf64_Ehdr& header) { header.e_type = ET_REL; }), "no shared library");
}

TEST_CASE("program headers out of reach are refused without asking the loader") {
  check_contains(refusal_of_changed_header([](Elf64_Ehdr& header) { header.e_phoff = ~std::uint64_t{0} - 7; }),
                 "program headers are not where");
}

TEST_CASE("a text file is no library") {
  const PluginFolder folder;
  folder.write("text.so", "#!/bin/sh\necho I am a script\n");
  const std::string reason = refusal_beside_good(folder);
  check_contains(reason, "it is no ELF library");
  check_contains(reason, "the loader says: ");
}

TEST_CASE("an empty file is named as such") {
  const PluginFolder folder;
  folder.write("empty.so", "");
  check_contains(refusal_beside_good(folder), "the file is empty");
}

TEST_CASE("a directory with a plugin's name is refused") {
  const PluginFolder folder;
  fs::create_directory(folder.path() / "folder.so");
  check_contains(refusal_beside_good(folder), "it is a directory, not a file");
}

TEST_CASE("a symbolic link is refused and its target named") {
  const PluginFolder folder, elsewhere;
  const fs::path target = elsewhere.add("newer_minor");
  fs::create_symlink(target, folder.path() / "newer_minor.so");
  check_contains(refusal_beside_good(folder), "it is a symbolic link (to " + target.string() + ")");
}

TEST_CASE("a dangling symbolic link says so") {
  const PluginFolder folder;
  fs::create_symlink("/nonexistent/plugin.so", folder.path() / "dangling.so");
  check_contains(refusal_beside_good(folder), "(to /nonexistent/plugin.so, which does not exist)");
}

TEST_CASE("a symbolic link among the directories is followed and what it leads to is checked") {
  const PluginFolder real, links;
  real.add("good");
  fs::create_directory_symlink(real.path(), links.path() / "plugins");
  ferry::Registry registry(only(links.path() / "plugins"));
  CHECK(registry.for_scheme("good").path() == fs::canonical(real.path()) / "good.so");
}

TEST_CASE("a file that others may write is refused") {
  for (const auto& [mode, who] :
       {std::pair{0757u, "everybody (mode 0757)"}, std::pair{0775u, "its group (mode 0775)"}}) {
    const PluginFolder folder;
    REQUIRE(::chmod(folder.add("newer_minor").c_str(), mode) == 0);
    check_contains(refusal_beside_good(folder), std::string("the file is writable by ") + who);
  }
}

TEST_CASE("a directory that others may write is refused, sticky or not, with all that is in it") {
  for (const mode_t mode : {0777u, 0770u, 01777u}) {
    CAPTURE(mode);
    const PluginFolder good, open;
    open.add("newer_minor");
    REQUIRE(::chmod(open.path().c_str(), mode) == 0);
    auto policy = only(good.path());
    policy.plugin_dirs.push_back(open.path());
    const std::string reason = refusal_beside_good(good, policy);
    check_contains(reason, "the directory " + open.path().string() + " is writable by ");
    check_contains(reason, "run chmod go-w");
  }
}

TEST_CASE("a directory further up that others may write is refused unless it is sticky") {
  const PluginFolder folder;
  const fs::path inner = folder.path() / "inner";
  fs::create_directory(inner);
  fs::permissions(inner, fs::perms::owner_all);
  fs::copy_file(fs::path(FIXTURE_DIR) / "good.so", inner / "good.so");
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  ferry::Registry registry(only(inner));
  CHECK_THROWS_AS(registry.load(inner / "good.so"), ferry::Error);
  REQUIRE(::chmod(folder.path().c_str(), 01777) == 0);
  CHECK(registry.load(inner / "good.so").name() == "good");
}

TEST_CASE("a file that another user owns is refused" * doctest::skip(::geteuid() != 0)) {
  const PluginFolder folder;
  constexpr uid_t nobody = 65534;
  REQUIRE(::chown(folder.add("newer_minor").c_str(), nobody, nobody) == 0);
  check_contains(refusal_beside_good(folder), "the file is owned by uid 65534");
}

TEST_CASE("a FIFO is refused and does not hang") {
  const PluginFolder folder;
  REQUIRE(::mkfifo((folder.path() / "fifo.so").c_str(), 0600) == 0);
  check_contains(refusal_beside_good(folder), "it is a FIFO, not a file");
}

TEST_CASE("a socket is refused") {
  const PluginFolder folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder.path() / "socket.so").c_str(), sizeof(address.sun_path) - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  ::close(fd);
  check_contains(refusal_beside_good(folder), "it is a socket, not a file");
}

TEST_CASE("a file that is not there says so") {
  const PluginFolder folder;
  ferry::Registry registry(only(folder.path()));
  try {
    registry.load(folder.path() / "absent.so");
    FAIL("loaded");
  } catch (const ferry::Error& error) {
    CHECK(error.status() == ferry::Status::not_found);
    check_contains(error.what(), "load plugin " + (folder.path() / "absent.so").string() + ": No such file");
  }
}

// ------------------------------------------------------------------------------------ what the operator allows

TEST_CASE("a plugin that is not on the allow-list is refused before it is opened") {
  const PluginFolder folder;
  folder.add("constructor_aborts");
  auto policy = only(folder.path());
  policy.allow = {"good"};
  check_contains(refusal_beside_good(folder, policy), "'constructor_aborts' is not on the allow-list");
}

TEST_CASE("a plugin whose SHA-256 is not the pinned one is refused before it is opened, and both are shown") {
  const PluginFolder folder;
  folder.add("constructor_aborts");
  auto policy = only(folder.path());
  policy.sha256["constructor_aborts"] = std::string(64, '0');
  const std::string reason = refusal_beside_good(folder, policy);
  check_contains(reason, "its SHA-256 is ");
  check_contains(reason, "and " + std::string(64, '0') + " is pinned");
}

TEST_CASE("a plugin with the pinned SHA-256 loads, whatever the case of the digits") {
  const PluginFolder folder;
  const fs::path file = folder.add("newer_minor");
  const std::string command = "sha256sum " + file.string();
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "re"), ::pclose);
  char digest[65] = {};
  REQUIRE(std::fread(digest, 1, 64, pipe.get()) == 64);
  std::transform(digest, digest + 64, digest, [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  auto policy = only(folder.path());
  policy.sha256["newer_minor"] = digest;
  ferry::Registry registry(policy);
  CHECK(registry.load(file).name() == "newer_minor");
}

// ---------------------------------------------------------------------------------------------------- search

TEST_CASE("a scheme loads its own file alone") {
  const PluginFolder folder;
  folder.add("good");
  folder.add("constructor_aborts");
  ferry::Registry registry(only(folder.path()));
  CHECK(registry.for_scheme("good").name() == "good");
  CHECK(registry.loaded().size() == 1);
}

TEST_CASE("a plugin whose name begins with the scheme is tried before those that do not") {
  const PluginFolder folder;
  folder.add("goods_by_prefix");
  folder.add("constructor_aborts");
  ferry::Registry registry(only(folder.path()));
  CHECK(registry.for_scheme("goods").name() == "goods_by_prefix");
  CHECK(registry.loaded().size() == 1);
}

TEST_CASE("a scheme whose plugin has another name is found by looking through the directories") {
  const PluginFolder folder;
  folder.add("newer_minor");
  ferry::Registry registry(only(folder.path()));
  CHECK(registry.for_scheme("newerminor").name() == "newer_minor");
}

TEST_CASE("the first directory of the search path wins") {
  const PluginFolder first, second;
  first.add("good");
  second.add("good");
  auto policy = only(first.path());
  policy.plugin_dirs.push_back(second.path());
  ferry::Registry registry(policy);
  CHECK(registry.for_scheme("good").path().parent_path() == fs::canonical(first.path()));
}

TEST_CASE("a bad file of the scheme's name does not hide a good one further down the search path") {
  const PluginFolder first, second;
  first.write("good.so", "not a library");
  second.add("good");
  auto policy = only(first.path());
  policy.plugin_dirs.push_back(second.path());
  ferry::Registry registry(policy);
  CHECK(registry.for_scheme("good").path().parent_path() == fs::canonical(second.path()));
  CHECK(registry.failures().size() == 1);
}

TEST_CASE("an unknown scheme lists the places, the failures and the near miss") {
  const PluginFolder folder;
  folder.add("good");
  folder.write("text.so", "not a library");
  ferry::Registry registry(only(folder.path()));
  try {
    registry.for_scheme("goood");
    FAIL("found");
  } catch (const ferry::Error& error) {
    CHECK(error.status() == ferry::Status::not_found);
    check_contains(error.what(), "did you mean 'good'?");
    check_contains(error.what(), folder.path().string());
    check_contains(error.what(), "text.so: it is no ELF library");
  }
}

TEST_CASE("a scheme cannot walk out of the search path") {
  const PluginFolder folder, outside;
  outside.add("good");
  ferry::Registry registry(only(folder.path()));
  CHECK_THROWS_AS(registry.for_scheme("../" + outside.path().filename().string() + "/good"), ferry::Error);
}

TEST_CASE("FERRY_PLUGIN_PATH is searched after the configuration's directories, unless the policy says no") {
  const PluginFolder configured, environment;
  ::setenv("FERRY_PLUGIN_PATH", (":" + environment.path().string() + ":").c_str(), 1);
  ferry::RegistryPolicy policy;
  policy.plugin_dirs = {configured.path()};
  const ferry::Registry registry(policy);
  REQUIRE(registry.search_path().size() >= 2);
  CHECK(registry.search_path()[0] == configured.path());
  CHECK(registry.search_path()[1] == environment.path());
  policy.use_environment = false;
  const ferry::Registry closed(policy);
  CHECK(std::count(closed.search_path().begin(), closed.search_path().end(), environment.path()) == 0);
  ::unsetenv("FERRY_PLUGIN_PATH");
}

TEST_CASE("the program's own tree is searched") {
  const ferry::Registry registry;
  const fs::path own = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib/ferry";
  const auto& path = registry.search_path();
  CHECK(std::count(path.begin(), path.end(), own) == 1);
}

// -------------------------------------------------------------------------------------------------- replacing

TEST_CASE("a refused file is taken once it was mended") {
  const PluginFolder folder;
  const fs::path file = folder.add("good");
  REQUIRE(::chmod(file.c_str(), 0777) == 0);
  ferry::Registry registry(only(folder.path()));
  CHECK_THROWS_AS(registry.for_scheme("good"), ferry::Error);
  REQUIRE(::chmod(file.c_str(), 0755) == 0);
  CHECK(registry.for_scheme("good").name() == "good");
  CHECK(registry.failures().empty());
}

TEST_CASE("a replaced plugin is opened beside the old one, which goes on working") {
  const PluginFolder folder;
  const fs::path file = folder.add("good");
  ferry::Registry before(only(folder.path()));
  const ferry::Plugin& old = before.for_scheme("good");
  fs::remove(file);
  folder.add("good");
  ferry::Registry after(only(folder.path()));
  const ferry::Plugin& replaced = after.for_scheme("good");
  CHECK(&old.abi() != &replaced.abi());
  CHECK_NOTHROW(old.check_address("x"));
  CHECK_NOTHROW(replaced.check_address("x"));
}

TEST_CASE("check_address names the descriptor at fault") {
  const PluginFolder folder;
  folder.add("good");
  ferry::Registry registry(only(folder.path()));
  try {
    registry.for_scheme("good").check_address("");
    FAIL("accepted");
  } catch (const ferry::Error& error) {
    CHECK(error.status() == ferry::Status::invalid);
    check_contains(error.what(), "check address good://");
  }
}
