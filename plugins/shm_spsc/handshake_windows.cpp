#include "handshake_windows.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"

namespace ferry::shm_spsc {
namespace {

using plugin::Failure;
using plugin::UniqueHandle;

constexpr std::size_t message_bytes = offer_bytes + sizeof(Token);
using Message = std::array<std::byte, message_bytes>;

/// Names of a connection's objects. Events are called after who sleeps on them.
constexpr const wchar_t* section_part = L"memory";
constexpr const wchar_t* listener_parts[] = {L"listener-data", L"listener-room"};
constexpr const wchar_t* client_parts[] = {L"client-data", L"client-room"};

/// Of an operation just begun: waits for its end, and cancels it when it takes too long.
ferry_status await_end(HANDLE pipe, OVERLAPPED& operation, std::int64_t deadline_ns, const ferry_cancel* cancel,
                       DWORD& bytes) {
  const ferry_status status = plugin::wait_signalled(operation.hEvent, deadline_ns, cancel);
  if (status != FERRY_OK) ::CancelIoEx(pipe, &operation);
  if (::GetOverlappedResult(pipe, &operation, &bytes, TRUE) != FALSE) return FERRY_OK;
  if (status != FERRY_OK) return status;
  throw plugin::os_failure(static_cast<int>(::GetLastError()));
}

/// False: the other side has gone. The pipe is fresh and has room, so this never waits.
bool send(HANDLE pipe, std::span<const std::byte> bytes) {
  const UniqueHandle event = plugin::make_event();
  OVERLAPPED writing{};
  writing.hEvent = event.get();
  DWORD sent = 0;
  if (::WriteFile(pipe, bytes.data(), static_cast<DWORD>(bytes.size()), nullptr, &writing) == FALSE &&
      ::GetLastError() != ERROR_IO_PENDING) {
    return false;
  }
  return await_end(pipe, writing, FERRY_NO_WAIT, nullptr, sent) == FERRY_OK && sent == bytes.size();
}

void tell_of_no_resources(HANDLE pipe) noexcept try {
  Offer offer;
  offer.verdict = Verdict::no_resources;
  Message message{};
  write_offer(offer, std::span(message).first<offer_bytes>());
  (void)send(pipe, message);
} catch (const Failure&) {  // then the client learns it from the pipe's end
}

/// A message may come in parts. Returns as await_link.
ferry_status receive(HANDLE pipe, Message& message, std::int64_t deadline_ns, const ferry_cancel* cancel) {
  const UniqueHandle event = plugin::make_event();
  for (DWORD have = 0; have < message_bytes;) {
    OVERLAPPED reading{};
    reading.hEvent = event.get();
    DWORD count = 0;
    const bool begun = ::ReadFile(pipe, message.data() + have, message_bytes - have, nullptr, &reading) != FALSE ||
                       ::GetLastError() == ERROR_IO_PENDING;
    if (!begun) throw plugin::os_failure(static_cast<int>(::GetLastError()));
    if (const ferry_status status = await_end(pipe, reading, deadline_ns, cancel, count); status != FERRY_OK) {
      return status;
    }
    if (count == 0) throw Failure(FERRY_PROTOCOL, "the listener sends nothing, which may go on for ever");
    have += count;
  }
  return FERRY_OK;
}

std::array<UniqueHandle, 2> make_events(const Token& token, const wchar_t* const (&parts)[2],
                                        const plugin::SecurityDescriptor& security) {
  return {make_named_event(object_name(token, parts[0]), security),
          make_named_event(object_name(token, parts[1]), security)};
}

std::array<UniqueHandle, 2> open_events(const Token& token, const wchar_t* const (&parts)[2]) {
  return {open_named_event(object_name(token, parts[0])), open_named_event(object_name(token, parts[1]))};
}

Link make_link(Segment segment, Shared shared) {
  const auto watch = PeerWatch::start(std::move(shared));
  return Link{std::move(segment), Signal(watch, Event::data), Signal(watch, Event::room), false};
}

}  // namespace

std::optional<Link> offer_link(UniqueHandle pipe, std::uint64_t ring, const PageOptions& pages,
                               const plugin::SecurityDescriptor& security) try {
  const Token token = draw_token();
  Memory memory{object_name(token, section_part), &security, {}};
  Segment segment = Segment::create(ring, pages, memory);
  Shared shared{.own = make_events(token, listener_parts, security),
                .other = make_events(token, client_parts, security),
                .memory = std::move(memory.handle),
                .pipe = {}};
  Offer offer;
  offer.ring = ring;
  offer.segment = segment.size();
  Message message;
  write_offer(offer, std::span(message).first<offer_bytes>());
  std::copy(token.begin(), token.end(), message.begin() + offer_bytes);
  if (!send(pipe.get(), message)) return std::nullopt;
  shared.pipe = std::move(pipe);
  return make_link(std::move(segment), std::move(shared));
} catch (const Failure&) {
  if (pipe) tell_of_no_resources(pipe.get());
  throw;
}

ferry_status await_link(UniqueHandle pipe, const PageOptions& pages, std::int64_t deadline_ns,
                        const ferry_cancel* cancel, std::optional<Link>& out) try {
  Message message;
  if (const ferry_status status = receive(pipe.get(), message, deadline_ns, cancel); status != FERRY_OK) return status;
  const Offer offer = read_offer(std::span(message).first(offer_bytes));
  if (offer.verdict != Verdict::accepted) {
    throw Failure(FERRY_NO_RESOURCES, "the listener is out of memory or handles");
  }
  if (offer.asymmetric || offer.huge) throw Failure(FERRY_PROTOCOL, "the listener offers what Windows has not");
  Token token;
  std::copy(message.begin() + offer_bytes, message.end(), token.begin());
  Segment segment = Segment::open(open_section(object_name(token, section_part)), offer, pages);
  Shared shared{
      .own = open_events(token, client_parts), .other = open_events(token, listener_parts), .memory = {}, .pipe = {}};
  const std::byte answer{};
  if (!send(pipe.get(), std::span(&answer, 1))) throw plugin::os_failure(ERROR_BROKEN_PIPE);
  shared.pipe = std::move(pipe);
  out.emplace(make_link(std::move(segment), std::move(shared)));
  return FERRY_OK;
} catch (const Failure& failure) {
  // Names that are not there have gone with the listener's end of the connection, or stand in another session.
  const bool no_name = failure.os_error() == ERROR_FILE_NOT_FOUND;
  if (no_name && ::PeekNamedPipe(pipe.get(), nullptr, 0, nullptr, nullptr, nullptr) != FALSE) {
    throw Failure(FERRY_NOT_FOUND,
                  "the listener's memory is not to be found in this session of Windows; programs of two sessions, for "
                  "example a service and one on the desktop, meet by npipe or tcp",
                  failure.os_error());
  }
  if (!no_name && failure.os_error() != ERROR_BROKEN_PIPE) throw;
  throw Failure(FERRY_RESET, "the listener closed before it accepted; is the service stopping?", ERROR_BROKEN_PIPE);
}

}  // namespace ferry::shm_spsc
