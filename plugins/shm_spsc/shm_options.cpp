#include "shm_options.hpp"

#include <algorithm>
#include <bit>

namespace ferry::shm_spsc {

PageOptions wanted_pages(plugin::Options values) noexcept {
  const std::string_view text = values.text(option_pages);
  return {text == "huge"          ? Pages::huge
          : text == "transparent" ? Pages::transparent
                                  : Pages::normal,
          values.flag(option_pretouch), values.flag(option_mlock)};
}

std::uint64_t wanted_ring(plugin::Options values) noexcept {
  return std::bit_ceil(static_cast<std::uint64_t>(values.integer(option_ring)));
}

void fill_granted(const Segment& segment, ferry_value* values, std::uint32_t count) noexcept {
  const PageOptions& pages = segment.pages();
  const ferry_value granted[] = {{static_cast<std::int64_t>(segment.ring()), nullptr, 1, 0},
                                 {0, page_choices[static_cast<int>(pages.pages)], 1, 0},
                                 {pages.pretouch ? 1 : 0, nullptr, 1, 0},
                                 {pages.lock ? 1 : 0, nullptr, 1, 0}};
  static_assert(option_ring == 0 && option_pages == 1 && option_pretouch == 2 && option_mlock == 3);
  std::copy_n(granted, std::min<std::size_t>(count, std::size(granted)), values);
}

}  // namespace ferry::shm_spsc
