// `ferry keygen`: a self-signed certificate and its key, for trying out transports with TLS.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "context.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "json.hpp"
#include "keygen/self_signed.hpp"

namespace ferry::host {
namespace {

constexpr mode_t key_mode = 0600;
constexpr mode_t certificate_mode = 0644;
constexpr int max_days = 36500;

struct KeygenOptions {
  std::string prefix;
  std::vector<std::string> names = {"localhost", "127.0.0.1", "::1"};
  int days = 365;
  bool force = false;
};

[[noreturn]] void fail(const std::string& operation, const std::string& path) {
  throw Failure(ExitCode::operation, operation + " " + path + ": " + std::generic_category().message(errno));
}

/// A file that was not there before; removed again unless it is kept.
class NewFile {
 public:
  NewFile(std::string path, mode_t mode) : path_(std::move(path)) {
    // O_EXCL follows no link and takes no file that somebody else may have open already.
    fd_ = plugin::UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (fd_) return;
    if (errno != EEXIST) fail("create", path_);
    throw Failure(ExitCode::operation, path_ + " exists; --force replaces it, --out names another");
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (!kept_) ::unlink(path_.c_str());
  }

  void write(const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t written = ::write(fd_.get(), text.data() + done, text.size() - done);
      if (written < 0) fail("write", path_);
      done += static_cast<std::size_t>(written);
    }
  }
  void keep() noexcept { kept_ = true; }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  plugin::UniqueFd fd_;
  bool kept_ = false;
};

void remove_old(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("replace", path);
}

void print(const Context& context, const KeygenOptions& options, const SelfSigned& pair, const std::string& certificate,
           const std::string& key) {
  if (context.json) {
    print_json({{"certificate", certificate},
                {"key", key},
                {"names", options.names},
                {"days", options.days},
                {"certificate_sha256", pair.certificate_sha256}});
    return;
  }
  std::cout << "certificate " << certificate << "\nkey         " << key << "\nnames      ";
  for (const std::string& name : options.names) std::cout << ' ' << name;
  std::cout << "\nsha256      " << pair.certificate_sha256 << std::endl;
}

ExitCode keygen(const Context& context, const KeygenOptions& options) {
  const SelfSigned pair = make_self_signed(options.names, std::chrono::hours(24 * options.days));
  const std::string key_path = options.prefix + ".key";
  const std::string certificate_path = options.prefix + ".crt";
  if (options.force) {
    remove_old(key_path);
    remove_old(certificate_path);
  }
  NewFile key(key_path, key_mode);
  NewFile certificate(certificate_path, certificate_mode);
  key.write(pair.key_pem);
  certificate.write(pair.certificate_pem);
  key.keep();
  certificate.keep();
  print(context, options, pair, certificate_path, key_path);
  return ExitCode::ok;
}

}  // namespace

void add_keygen(Command& ferry, Context& context) {
  const auto options = std::make_shared<KeygenOptions>();
  Command verb = add_verb(ferry, context, "keygen", "Make a self-signed certificate and its key, for trying out TLS",
                          [&context, options] { return keygen(context, *options); });
  verb.option("--out", options->prefix, "Write PREFIX.crt and PREFIX.key (readable by you alone)")
      .value_name("PREFIX")
      .required();
  verb.option("--name", options->names, "Host name or IP address that the certificate is for")
      .value_name("HOST")
      .show_default();
  verb.option("--days", options->days, "How long it is valid").value_name("N").range(1, max_days).show_default();
  verb.flag("--force", options->force, "Replace files that are there");
}

}  // namespace ferry::host
