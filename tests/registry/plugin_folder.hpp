// A fresh private directory with copies of fixtures, removed at the end of the test.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "support/temporary_directory.hpp"

namespace ferry::test {

class PluginFolder : public TemporaryDirectory {
 public:
  std::filesystem::path add(const std::string& fixture, const std::string& as = {}) const {
    const std::filesystem::path to = path() / ((as.empty() ? fixture : as) + ".so");
    std::filesystem::copy_file(std::filesystem::path(FIXTURE_DIR) / (fixture + ".so"), to);
    return to;
  }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path() / name, std::ios::binary) << bytes;
    return path() / name;
  }
};

}  // namespace ferry::test
