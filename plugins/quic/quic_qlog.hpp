// One connection's qlog file (draft-ietf-quic-qlog-main-schema, JSON-SEQ), as ngtcp2 writes it.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <cstdio>
#include <memory>
#include <string>

namespace ferry::quic {

class Qlog {
 public:
  /// Makes `<directory>/<id in hexadecimal>_<side>.sqlog`. Throws plugin::Failure.
  Qlog(const std::string& directory, const ngtcp2_cid& id, bool server);

  void write(const void* data, std::size_t size) noexcept { (void)!std::fwrite(data, 1, size, file_.get()); }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { (void)std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace ferry::quic
