#include "quic_credentials_cache.hpp"

#include <sys/stat.h>

namespace ferry::quic {

std::shared_ptr<const Credentials> CredentialsCache::get(const Settings& settings, bool server) {
  std::string key = server ? "s" : settings.insecure ? "i" : settings.pins.empty() ? "c" : "p";
  for (const std::string& file : {settings.ca, settings.cert, settings.key, settings.client_ca}) {
    struct stat facts {};
    if (!file.empty()) (void)::stat(file.c_str(), &facts);
    key += '\n' + file + '\n' + std::to_string(facts.st_ino) + '.' + std::to_string(facts.st_mtim.tv_sec) + '.' +
           std::to_string(facts.st_mtim.tv_nsec);
  }
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<const Credentials>& entry = entries_[key];
  if (entry == nullptr) {
    if (entries_.size() > max_entries) {
      entries_.clear();
      return entries_[key] = std::make_shared<Credentials>(settings, server);
    }
    entry = std::make_shared<Credentials>(settings, server);
  }
  return entry;
}

}  // namespace ferry::quic
