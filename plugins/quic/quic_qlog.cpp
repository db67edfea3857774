#include "quic_qlog.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "quic_hexadecimal.hpp"
#include "quic_ngtcp2.hpp"

namespace ferry::quic {
namespace {

constexpr std::size_t random_bytes = 4;

std::string hexadecimal(const ngtcp2_cid& id) {
  std::string out;
  append_hexadecimal(out, id.data, id.datalen);
  return out;
}

}  // namespace

void check_qlog_directory(const std::string& directory) {
  struct stat facts {};
  if (::stat(directory.c_str(), &facts) != 0) throw plugin::os_failure(errno, "qlog " + directory);
  if (!S_ISDIR(facts.st_mode)) throw plugin::Failure(FERRY_INVALID, "qlog " + directory + ": it is no directory");
  if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    throw plugin::os_failure(errno, "qlog " + directory);
  }
}

Qlog::Qlog(std::string directory, const ngtcp2_cid& id, bool server)
    : path_(std::move(directory) + "/" + hexadecimal(id) + "_" + hexadecimal(random_id(random_bytes)) +
            (server ? "_server.sqlog" : "_client.sqlog")) {}

void Qlog::open() {
  if (file_ != nullptr) return;
  plugin::UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw plugin::os_failure(errno, "qlog " + path_);
  file_.reset(::fdopen(fd.get(), "w"));
  if (file_ == nullptr) throw plugin::os_failure(errno, "qlog " + path_);
  (void)fd.release();
  write(waiting_.data(), waiting_.size());
  waiting_ = {};
}

void Qlog::write(const void* data, std::size_t size) noexcept {
  if (file_ != nullptr) {
    (void)!std::fwrite(data, 1, size, file_.get());
  } else if (waiting_.size() + size <= max_waiting_bytes) {
    try {
      waiting_.append(static_cast<const char*>(data), size);
    } catch (const std::bad_alloc&) {  // left out
    }
  }
}

}  // namespace ferry::quic
