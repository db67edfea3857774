// One connection's qlog file (draft-ietf-quic-qlog-main-schema, JSON-SEQ), as ngtcp2 writes it.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <cstdio>
#include <memory>
#include <string>

namespace ferry::quic {

/// Throws plugin::Failure when `directory` is none that files can be made in.
void check_qlog_directory(const std::string& directory);

/// What is written waits in memory until there is a file: strangers, who have not proven their address, make none.
class Qlog {
 public:
  /// `id` is the connection's first destination, by which both ends know it.
  Qlog(std::string directory, const ngtcp2_cid& id, bool server);

  /// Makes `<directory>/<id in hexadecimal>_<a random number>_<side>.sqlog`, once. The number is there because the
  /// client chose the id. Throws plugin::Failure.
  void open();
  void write(const void* data, std::size_t size) noexcept;

 private:
  // A handshake with a long chain of certificates has 20 KiB; what comes beyond this is left out.
  static constexpr std::size_t max_waiting_bytes = 64 << 10;

  struct Close {
    void operator()(std::FILE* file) const noexcept { (void)std::fclose(file); }
  };
  std::string path_;
  std::string waiting_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace ferry::quic
