#include "quic_qlog.hpp"

#include <fcntl.h>

#include <cerrno>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::quic {

Qlog::Qlog(const std::string& directory, const ngtcp2_cid& id, bool server) {
  constexpr char digits[] = "0123456789abcdef";
  std::string path = directory + "/";
  for (std::size_t i = 0; i < id.datalen; ++i) {
    path += digits[id.data[i] >> 4];
    path += digits[id.data[i] & 15];
  }
  path += server ? "_server.sqlog" : "_client.sqlog";
  plugin::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw plugin::os_failure(errno, "qlog " + path);
  file_.reset(::fdopen(fd.get(), "w"));
  if (file_ == nullptr) throw plugin::os_failure(errno, "qlog " + path);
  (void)fd.release();
}

}  // namespace ferry::quic
