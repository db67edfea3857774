#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "report_page.hpp"

namespace ferry::conformance {

ReportPage* map_report(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), file.string());
  void* mapped = MAP_FAILED;
  if (::ftruncate(fd, sizeof(ReportPage)) == 0) {
    mapped = ::mmap(nullptr, sizeof(ReportPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  ::close(fd);
  if (mapped == MAP_FAILED) throw std::system_error(error, std::generic_category(), file.string());
  return static_cast<ReportPage*>(mapped);
}

void unmap_report(ReportPage* page) noexcept { ::munmap(page, sizeof(ReportPage)); }

}  // namespace ferry::conformance
