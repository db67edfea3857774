// One end of a connected pipe instance.
#pragma once

#include <string>
#include <string_view>

#include "ferry/plugin.hpp"
#include "ferry/sdk/pipe_stream.hpp"

namespace ferry::npipe {

enum class End : std::uint8_t { client, server };

/// Members are the ABI's connection operations; abi.h has their contracts.
class PipeConnection : public plugin::Connection<PipeConnection> {
 public:
  PipeConnection(plugin::UniqueHandle pipe, End end, std::string address);

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
    return stream_.read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept {
    return stream_.write(pieces, count, flags, deadline_ns);
  }
  std::int32_t arm(ferry_interest interest) noexcept { return stream_.arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept {
    return stream_.pollable(interest, out);
  }
  void interrupt() noexcept { stream_.interrupt(); }
  ferry_status finish(std::int64_t deadline_ns) noexcept { return stream_.finish(deadline_ns); }

  void describe(ferry_connection_info& info) const;
  void effective(ferry_value* values, std::uint32_t count) const noexcept;
  /// ferry.peer/1: the process's id; Windows has no numbers for users and groups.
  static const void* extension(std::string_view id) noexcept;

 private:
  const End end_;
  const std::string address_;
  ULONG peer_pid_ = 0;       // 0: unknown, for example on another machine
  DWORD granted_bytes_ = 0;  // what the system holds in our direction
  plugin::PipeStream stream_;
};

}  // namespace ferry::npipe
