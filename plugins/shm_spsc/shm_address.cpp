#include "shm_address.hpp"

#include "ferry/plugin.hpp"

namespace ferry::shm_spsc {
namespace {

constexpr std::size_t max_name_bytes = 64;
constexpr std::string_view name_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

[[noreturn]] void reject(const std::string& why) { throw plugin::Failure(FERRY_INVALID, why); }

}  // namespace

Address parse_address(std::string_view text) {
  if (text.empty()) reject("the address is empty; give a name, or a path such as /run/app.shm");
  if (text.find('/') != std::string_view::npos) {
    check_path(text);
    return {std::string(text), false};
  }
  if (text.size() > max_name_bytes) {
    reject("the name has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max_name_bytes) +
           " are supported");
  }
  if (text.front() == '.' || text.find_first_not_of(name_letters) != std::string_view::npos) {
    reject("a name has letters, digits, '.', '_' and '-', and does not start with '.'; a path has a '/'");
  }
  return {std::string(text), true};
}

}  // namespace ferry::shm_spsc
