// Descriptors beside the bytes of a Unix socket's message (SCM_RIGHTS, unix(7)), owned on both sides of the call.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "ferry/abi.h"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

/// The control data of a message that passes up to FERRY_MAX_FDS descriptors, which stay the caller's.
class FdsToSend {
 public:
  FdsToSend(const std::int32_t* fds, std::uint32_t count) noexcept : count_(count) {
    if (count > 0) std::memcpy(fds_, fds, count * sizeof(int));
  }
  /// To be kept alive until the message is sent; with no descriptor the message is left alone.
  void attach(msghdr& message) noexcept {
    if (count_ == 0) return;
    message.msg_control = control_;
    message.msg_controllen = CMSG_SPACE(count_ * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count_ * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds_, count_ * sizeof(int));
  }

 private:
  std::int32_t fds_[FERRY_MAX_FDS];
  std::uint32_t count_;
  alignas(cmsghdr) char control_[CMSG_SPACE(FERRY_MAX_FDS * sizeof(int))] = {};
};

/// Room for the descriptors of a message that is received, and then those; closes what nobody takes. The kernel lets a
/// message carry 253 (SCM_MAX_FD): with room for all of them none is dropped silently, and MSG_CTRUNC can only mean
/// that the process is out of descriptors.
class ReceivedFds {
 public:
  static constexpr std::size_t most = 253;

  ReceivedFds() noexcept = default;
  ReceivedFds(const ReceivedFds&) = delete;
  ReceivedFds& operator=(const ReceivedFds&) = delete;
  ~ReceivedFds() {
    for (std::size_t i = 0; i < count_; ++i) UniqueFd(fds_[i]).reset();
  }

  /// Before recvmsg(2), which is to be called with MSG_CMSG_CLOEXEC.
  void make_room(msghdr& message) noexcept {
    message.msg_control = control_;
    message.msg_controllen = sizeof(control_);
  }
  /// After it.
  void take_from(msghdr& message) noexcept {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      const std::size_t taken = std::min(here, most - count_);
      std::memcpy(fds_ + count_, CMSG_DATA(header), taken * sizeof(int));
      count_ += taken;
    }
  }

  std::size_t count() const noexcept { return count_; }
  /// Gives all of them to the caller.
  void release(std::int32_t* out) noexcept {
    std::copy(fds_, fds_ + count_, out);
    count_ = 0;
  }
  /// Gives one of them to the caller.
  UniqueFd take(std::size_t index) noexcept { return UniqueFd(std::exchange(fds_[index], -1)); }

 private:
  int fds_[most];
  std::size_t count_ = 0;
  alignas(cmsghdr) char control_[CMSG_SPACE(most * sizeof(int))];
};

}  // namespace ferry::plugin
