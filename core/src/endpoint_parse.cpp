// The descriptor grammar: bounded, without I/O. Every part is a view into the text given, so a byte's offset is the
// distance of two pointers and errors can point at it. Boost.URL was rejected: it has no bare host:port, no abstract
// names, no UNC paths, and reads `uds://run/x` as a host.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "endpoint_grammar.hpp"
#include "ferry/did_you_mean.hpp"
#include "ferry/endpoint.hpp"
#include "text.hpp"

namespace ferry {
namespace {

using std::string_view;
constexpr std::size_t npos = string_view::npos;

enum class Form : std::uint8_t { inet, socket, tab_domain, pipe, tab_pipe };

struct KnownScheme {
  string_view spelling;
  string_view canonical;
  Form form;
};

constexpr std::array known_schemes{
    KnownScheme{"tcp", "tcp", Form::inet},           KnownScheme{"tab.tcp", "tcp", Form::inet},
    KnownScheme{"uds", "uds", Form::socket},         KnownScheme{"unix", "uds", Form::socket},
    KnownScheme{"npipe", "npipe", Form::pipe},       KnownScheme{"tab.domain", "uds", Form::tab_domain},
    KnownScheme{"tab.pipe", "npipe", Form::tab_pipe}};
constexpr std::array<string_view, 3> tab_schemes{"tab.tcp", "tab.domain", "tab.pipe"};

const KnownScheme* find_scheme(string_view spelling) noexcept {
  const auto* const found = std::find_if(known_schemes.begin(), known_schemes.end(),
                                         [&](const KnownScheme& known) { return known.spelling == spelling; });
  return found == known_schemes.end() ? nullptr : found;
}

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

constexpr int hex_digit(char c) noexcept {
  if (text::is_digit(c)) return c - '0';
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

class Parser {
 public:
  /// `item` is the part of `whole` to parse.
  Parser(string_view whole, string_view item) noexcept : whole_(whole), item_(item) {}

  Endpoint parse() {
    trim();
    check_text();
    const std::size_t question = item_.find('?');
    parse_location(item_.substr(0, question));
    if (question != npos) parse_query(item_.substr(question + 1));
    check_printed_size();
    return std::move(endpoint_);
  }

 private:
  [[noreturn]] void fail(const char* at, const std::string& reason) const {
    throw DescriptorError(whole_, static_cast<std::size_t>(at - whole_.data()), reason);
  }
  [[noreturn]] void fail_after(string_view part, const std::string& reason) const {
    fail(part.data() + part.size(), reason);
  }

  void trim() noexcept {
    while (item_.starts_with(' ')) item_.remove_prefix(1);
    while (item_.ends_with(' ')) item_.remove_suffix(1);
  }

  void check_text() const {
    if (item_.empty()) fail(item_.data(), "a descriptor is missing here; write for example tcp://127.0.0.1:7000");
    if (item_.size() > max_descriptor_bytes) {
      fail(item_.data() + max_descriptor_bytes,
           "the descriptor is longer than " + std::to_string(max_descriptor_bytes) + " bytes");
    }
    const std::size_t bad = text::find_unprintable(item_);
    if (bad != npos) {
      fail(item_.data() + bad,
           text::name_byte(item_[bad]) + " is a control character or malformed UTF-8, which no descriptor may hold");
    }
    const std::size_t comma = item_.find(',');
    if (comma != npos) {
      fail(item_.data() + comma,
           "a comma separates descriptors and only one is expected; write %2C for a comma within it");
    }
  }

  /// Escaping and the longer spelling must not make text that the parser would then refuse.
  void check_printed_size() const {
    constexpr std::size_t tab_form_adds_bytes = 16;
    if (endpoint_.to_string().size() + tab_form_adds_bytes > max_descriptor_bytes) {
      fail(item_.data(), "the descriptor is longer than " + std::to_string(max_descriptor_bytes) +
                             " bytes once its special characters are escaped");
    }
  }

  void parse_location(string_view location) {
    const std::size_t separator = location.find("://");
    if (location.starts_with("\\\\")) return parse_unc(location.substr(2));
    if (location.starts_with('/')) return set_socket(location);
    if (separator != npos) return parse_scheme(location.substr(0, separator), location.substr(separator + 3));
    const std::size_t colon = location.find(':');
    const KnownScheme* const known = find_scheme(lower(location.substr(0, colon)));
    if (colon == npos || known == nullptr) return parse_host_port(location);
    const string_view rest = location.substr(colon + 1);
    if (known->form != Form::socket || !(rest.starts_with('@') || grammar::has_path_prefix(rest))) {
      fail_after(location.substr(0, colon), "a scheme is followed by '://'");
    }
    set_socket(rest);
  }

  void parse_scheme(string_view scheme, string_view address) {
    const std::string spelling = lower(scheme);
    const auto bad = std::find_if(scheme.begin(), scheme.end(), [](char c) {
      return !(lower(c) >= 'a' && lower(c) <= 'z') && !text::is_digit(c) && c != '+' && c != '.' && c != '-';
    });
    if (bad != scheme.end()) {
      fail(&*bad, text::name_byte(*bad) + " cannot stand in a scheme, which is letters, digits, '+', '.' and '-'");
    }
    if (scheme.empty() || lower(scheme.front()) < 'a') fail(scheme.data(), "a scheme starts with a letter");
    if (address.empty()) fail_after(address, "an address is missing after '://'");
    const KnownScheme* const known = find_scheme(spelling);
    if (known != nullptr) return parse_known(*known, address);
    if (spelling.starts_with("tab.")) {
      fail(scheme.data(), "unknown scheme '" + spelling + "'; the tab forms are tab.tcp, tab.domain and tab.pipe" +
                              did_you_mean(spelling, tab_schemes));
    }
    endpoint_.scheme = spelling;
    endpoint_.address = decode(address);
  }

  void parse_known(const KnownScheme& known, string_view address) {
    switch (known.form) {
      case Form::inet:
        return set_inet(address);
      case Form::socket:
        return set_socket(address);
      case Form::tab_domain:
        return set_tab_domain(address);
      case Form::tab_pipe:
        set_pipe(address);
        return check_pipe(address);
      case Form::pipe:
        return set_pipe(address);
    }
  }

  void set_inet(string_view address) {
    endpoint_.scheme = "tcp";
    endpoint_.address = decode(address);
    if (endpoint_.address.ends_with(":auto")) endpoint_.address.replace(endpoint_.address.size() - 4, 4, "0");
  }

  void set_socket(string_view address) {
    endpoint_.scheme = "uds";
    endpoint_.address = decode(address);
    const std::string& decoded = endpoint_.address;
    if (decoded.starts_with('@')) {
      if (decoded.size() == 1) fail_after(address, "an abstract socket's name is missing after '@'");
      return;
    }
    if (!grammar::has_path_prefix(decoded)) {
      fail(address.data(),
           "a socket's path starts with '/' (or './', '../'), an abstract name with '@'; write uds:///run/app.sock");
    }
    if (!grammar::is_socket_path(decoded)) fail_after(address, "the path ends in '/'; name the socket's file");
  }

  void set_tab_domain(string_view address) {
    const std::size_t at = address.find(grammar::domain_separator);
    if (at == npos) {
      fail_after(address, "no '/domain/' between directory and name; write tab.domain://<dir>/domain/<name>");
    }
    const string_view name = address.substr(at + grammar::domain_separator.size());
    if (name.empty() || name.ends_with('/')) fail_after(name, "the socket's file name is missing after '/domain/'");
    const std::string path = decode(address.substr(0, at)) + "/" + decode(name);
    endpoint_.scheme = "uds";
    endpoint_.address = grammar::has_path_prefix(path) ? path : "./" + path;
    if (!grammar::is_socket_path(endpoint_.address)) fail_after(name, "the path ends in '/'; name the socket's file");
  }

  void set_pipe(string_view address) {
    endpoint_.scheme = "npipe";
    endpoint_.address = decode(address);
  }

  void check_pipe(string_view address) const {
    if (grammar::is_pipe_address(endpoint_.address)) return;
    fail(address.data() + std::min(address.find('/'), address.size()),
         "a pipe's address is <host>/pipe/<name>; write for example tab.pipe://./pipe/name");
  }

  /// `\\host\pipe\name`, what follows the two backslashes.
  void parse_unc(string_view rest) {
    constexpr string_view separator = "\\pipe\\";
    const std::size_t slash = std::min(rest.find('\\'), rest.size());
    const string_view host = rest.substr(0, slash);
    if (host.empty()) fail(rest.data(), "the host is missing; write \\\\.\\pipe\\name for this machine");
    if (lower(rest.substr(slash, separator.size())) != separator) {
      fail_after(host, "a pipe's name continues with '\\pipe\\'; write \\\\.\\pipe\\name");
    }
    const string_view name = rest.substr(slash + separator.size());
    if (name.empty()) fail_after(rest, "the pipe's name is missing after '\\pipe\\'");
    const std::size_t bad =
        std::min(host.find('/'), name.find('\\') == npos ? npos : name.find('\\') + slash + separator.size());
    if (bad != npos)
      fail(rest.data() + bad, text::name_byte(rest[bad]) + " cannot stand here; a pipe is \\\\host\\pipe\\name");
    endpoint_.scheme = "npipe";
    endpoint_.address = decode(host) + "/pipe/" + decode(name);
    check_pipe(rest);
  }

  /// The bare form. Only what is plainly a host and a port is taken for one.
  void parse_host_port(string_view location) {
    const std::size_t colon = location.rfind(':');
    if (colon == npos) {
      fail_after(location, "neither scheme nor port; write scheme://address, host:port or an absolute path");
    }
    const string_view host = location.substr(0, colon);
    const std::size_t slash = location.find_first_of("/\\");
    if (slash != npos)
      fail(location.data() + slash,
           text::name_byte(location[slash]) + " cannot stand in host:port; write scheme://address");
    check_bare_host(host);
    check_bare_port(location.substr(colon + 1));
    set_inet(location);
  }

  void check_bare_host(string_view host) const {
    if (host.empty())
      fail(host.data(), "the host is missing before ':'; write for example 127.0.0.1:7000 or 0.0.0.0:7000");
    if (host.starts_with('[') && host.ends_with(']')) return;
    const std::size_t colon = host.find(':');
    if (colon != npos) fail(host.data() + colon, "an IPv6 address stands in brackets; write for example [::1]:7000");
  }

  void check_bare_port(string_view port) const {
    if (port == "auto") return;
    unsigned number = 0;
    for (const char& c : port) {
      if (!text::is_digit(c)) fail(&c, "a port is a number from 0 to 65535 or 'auto'");
      number = number * 10 + static_cast<unsigned>(c - '0');
      if (number > 65535) fail(port.data(), "a port is at most 65535");
    }
    if (port.empty()) fail(port.data(), "the port is missing after ':'; write a number from 0 to 65535 or 'auto'");
  }

  void parse_query(string_view query) {
    std::size_t begin = 0;
    while (begin <= query.size()) {
      const std::size_t end = std::min(query.find('&', begin), query.size());
      parse_option(query.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  void parse_option(string_view setting) {
    const std::size_t equals = setting.find('=');
    if (equals == 0 || setting.empty()) fail(setting.data(), "an option is missing here; write name=value");
    if (equals == npos) fail_after(setting, "an option is name=value; '=' is missing");
    EndpointOption option{decode(setting.substr(0, equals)), decode(setting.substr(equals + 1))};
    if (std::any_of(endpoint_.options.begin(), endpoint_.options.end(),
                    [&](const EndpointOption& other) { return other.name == option.name; })) {
      fail(setting.data(), "option '" + option.name + "' is given twice");
    }
    if (endpoint_.options.size() == max_options_per_descriptor) {
      fail(setting.data(), "a descriptor takes at most " + std::to_string(max_options_per_descriptor) + " options");
    }
    endpoint_.options.push_back(std::move(option));
  }

  /// Undoes percent-encoding; what comes out must be printable text too.
  std::string decode(string_view part) const {
    std::string out;
    out.reserve(part.size());
    std::vector<std::size_t> origins;  // of each decoded byte
    for (std::size_t i = 0; i < part.size(); ++i) {
      origins.push_back(i);
      if (part[i] != '%') {
        out += part[i];
        continue;
      }
      const int high = i + 2 < part.size() ? hex_digit(part[i + 1]) : -1;
      const int low = i + 2 < part.size() ? hex_digit(part[i + 2]) : -1;
      if (high < 0 || low < 0)
        fail(part.data() + i, "'%' is followed by two hexadecimal digits; write %25 for '%' itself");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
    const std::size_t bad = text::find_unprintable(out);
    if (bad != npos) {
      fail(part.data() + origins[bad],
           text::name_byte(out[bad]) +
               ", written here with '%', is a control character or malformed UTF-8, which no descriptor may hold");
    }
    return out;
  }

  string_view whole_;
  string_view item_;
  Endpoint endpoint_;
};

}  // namespace

std::string_view grammar::canonical_scheme(string_view spelling) noexcept {
  const KnownScheme* const known = find_scheme(spelling);
  return known == nullptr ? string_view() : known->canonical;
}

Endpoint parse_endpoint(string_view text) { return Parser(text, text).parse(); }

std::vector<Endpoint> parse_endpoints(string_view text) {
  std::vector<Endpoint> endpoints;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    if (endpoints.size() == max_descriptors_per_list) {
      throw DescriptorError(text, begin,
                            "a list takes at most " + std::to_string(max_descriptors_per_list) + " descriptors");
    }
    const std::size_t end = std::min(text.find(',', begin), text.size());
    endpoints.push_back(Parser(text, text.substr(begin, end - begin)).parse());
    begin = end + 1;
  }
  return endpoints;
}

}  // namespace ferry
