#include "npipe_connection_windows.hpp"

#include <algorithm>

#include "ferry/sdk/pipe_acceptor.hpp"
#include "npipe_description.hpp"

namespace ferry::npipe {

PipeConnection::PipeConnection(plugin::UniqueHandle pipe, End end, std::string address)
    : end_(end), address_(std::move(address)), stream_(std::move(pipe)) {
  HANDLE const handle = stream_.pipe();
  peer_pid_ = plugin::peer_process(handle);
  DWORD out = 0, in = 0;  // as the server sees them
  if (::GetNamedPipeInfo(handle, nullptr, &out, &in, nullptr) != FALSE) granted_bytes_ = end == End::server ? out : in;
}

void PipeConnection::describe(ferry_connection_info& info) const {
  plugin::copy_address(end_ == End::server ? info.local_address : info.peer_address, address_);
}

void PipeConnection::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  if (option_pipe_size < count && granted_bytes_ != 0) values[option_pipe_size] = {granted_bytes_, nullptr, 1, 0};
}

const void* PipeConnection::extension(std::string_view id) noexcept {
  static constexpr ferry_peer peer = {
      sizeof(ferry_peer), 0, [](ferry_connection* connection, ferry_credentials* out) noexcept -> ferry_status {
        const ULONG pid = from(connection).peer_pid_;
        out->uid = out->gid = -1;
        out->pid = pid == 0 ? -1 : std::int64_t{pid};
        return FERRY_OK;
      }};
  return id == FERRY_EXT_PEER ? &peer : nullptr;
}

}  // namespace ferry::npipe
