#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "bench/own_certificate.hpp"
#include "ferry/error.hpp"
#include "keygen/self_signed.hpp"

namespace ferry::bench {
namespace {

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  if (!(file << text << std::flush)) throw std::system_error(errno, std::generic_category(), "write " + path.string());
}

}  // namespace

std::vector<EndpointOption> own_certificate(const Plugin& plugin, const std::filesystem::path& directory) {
  for (const char* name : {"cert", "key", "ca"}) {
    if (plugin.options().find(name) < 0) return {};
  }
  const host::SelfSigned pair = host::make_self_signed({"localhost", "127.0.0.1", "::1"}, std::chrono::hours(24));
  const std::string certificate = (directory / "bench.crt").string();
  const std::string key = (directory / "bench.key").string();
  write_file(certificate, pair.certificate_pem);
  write_file(key, pair.key_pem);
  return {{"cert", certificate}, {"key", key}, {"ca", certificate}};
}

}  // namespace ferry::bench
