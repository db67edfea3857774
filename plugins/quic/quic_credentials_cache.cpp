#include "quic_credentials_cache.hpp"

#include <sys/stat.h>

#include <utility>

namespace ferry::quic {
namespace {

// Its group may read a key: that is how programs of several users share one.
constexpr mode_t too_open = S_IROTH | S_IWOTH | S_IWGRP;

void warn_of_open_key(const Settings& settings, const ferry_host& host) {
  const std::string& key = settings.key.empty() ? settings.cert : settings.key;
  struct stat facts {};
  if (key.empty() || ::stat(key.c_str(), &facts) != 0 || (facts.st_mode & too_open) == 0) return;
  const std::string text = "quic: others may read or write the private key in " + key + "; chmod 600 it";
  host.log(&host, FERRY_LOG_WARNING, text.c_str());
}

}  // namespace

std::shared_ptr<const Credentials> CredentialsCache::get(const Settings& settings, bool server) {
  std::string key = server ? "s" : settings.insecure ? "i" : settings.pins.empty() ? "c" : "p";
  for (const std::string& file : {settings.ca, settings.cert, settings.key, settings.client_ca}) {
    struct stat facts {};
    if (!file.empty()) (void)::stat(file.c_str(), &facts);
    key += '\n' + file + '\n' + std::to_string(facts.st_ino) + '.' + std::to_string(facts.st_mtim.tv_sec) + '.' +
           std::to_string(facts.st_mtim.tv_nsec);
  }
  const std::scoped_lock lock(mutex_);
  if (const auto known = entries_.find(key); known != entries_.end()) return known->second;
  warn_of_open_key(settings, host_);
  auto made = std::make_shared<const Credentials>(settings, server);
  if (entries_.size() > max_entries) entries_.clear();
  return entries_[key] = std::move(made);
}

}  // namespace ferry::quic
