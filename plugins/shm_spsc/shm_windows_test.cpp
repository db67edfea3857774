// Shared memory of Windows: sections that are no safe memory, and clients and listeners that go while they meet.
#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/pipe_acceptor.hpp"
#include "handshake_windows.hpp"
#include "segment.hpp"
#include "support/open_handles_windows.hpp"

namespace {

using namespace ferry;
using namespace ferry::shm_spsc;
using plugin::UniqueHandle;

constexpr std::uint64_t ring_bytes = 64u << 10;
constexpr std::uint64_t page_bytes = 4096;
constexpr std::int64_t ms = 1'000'000;

std::int64_t soon() { return plugin::monotonic_ns() + 10'000 * ms; }

Offer sound_offer() {
  Offer offer;
  offer.ring = ring_bytes;
  offer.segment = segment_bytes(ring_bytes, page_bytes);
  return offer;
}

/// A section as a hostile listener could hand it over.
Section section_of(HANDLE file, DWORD protection, std::uint64_t bytes = sound_offer().segment) {
  Section section;
  section.handle.reset(::CreateFileMappingW(file, nullptr, protection, 0, static_cast<DWORD>(bytes), nullptr));
  REQUIRE(section.handle);
  return section;
}

/// Why the client's end refuses it.
std::string refusal(Section section) {
  try {
    const Segment opened = Segment::open(std::move(section), sound_offer(), {});
    return "taken";
  } catch (const plugin::Failure& failure) {
    CHECK(failure.status() == FERRY_PROTOCOL);
    return failure.what();
  }
}

bool says(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

struct Met {
  UniqueHandle client;
  UniqueHandle server;
};

Met meet() {
  static int number = 0;
  const std::wstring name =
      L"\\\\.\\pipe\\ferry-shm-test-" + std::to_wstring(::GetCurrentProcessId()) + L"-" + std::to_wstring(number++);
  plugin::PipeAcceptor acceptor(name, {4096, false}, plugin::SecurityDescriptor(""));
  ferry_status why_not = FERRY_OK;
  UniqueHandle client = plugin::open_pipe(name, plugin::PipeServer::trusted, soon(), nullptr, why_not);
  return {std::move(client), acceptor.accept(soon(), why_not)};
}

/// The listener's end, which goes at once.
void offer_and_go(UniqueHandle server) {
  const auto link = offer_link(std::move(server), ring_bytes, {}, plugin::SecurityDescriptor(""));
  CHECK(link.has_value());
}

/// Why the client's end of a connection cannot be had.
plugin::Failure meeting_failure(UniqueHandle client) {
  std::optional<Link> link;
  try {
    const ferry_status status = await_link(std::move(client), {}, soon(), nullptr, link);
    return plugin::Failure(status, "");
  } catch (const plugin::Failure& failure) {
    return failure;
  }
}

}  // namespace

TEST_CASE("memory that could fail under its reader is not mapped") {
  CHECK(refusal(section_of(INVALID_HANDLE_VALUE, PAGE_READWRITE | SEC_COMMIT)) == "taken");
  CHECK(says(refusal(section_of(INVALID_HANDLE_VALUE, PAGE_READWRITE | SEC_RESERVE)), "not committed"));
  CHECK(says(refusal(section_of(INVALID_HANDLE_VALUE, PAGE_READWRITE, 3 * ring_bytes)), "that were offered"));

  wchar_t directory[MAX_PATH], path[MAX_PATH];
  REQUIRE(::GetTempPathW(MAX_PATH, directory) != 0);
  REQUIRE(::GetTempFileNameW(directory, L"fer", 0, path) != 0);
  const UniqueHandle file(
      ::CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, nullptr));
  REQUIRE(file);
  CHECK(says(refusal(section_of(file.get(), PAGE_READWRITE)), "a file"));
}

TEST_CASE("memory of which a part is committed is not mapped") {
  Section section = section_of(INVALID_HANDLE_VALUE, PAGE_READWRITE | SEC_RESERVE);
  void* const view = ::MapViewOfFile(section.handle.get(), FILE_MAP_WRITE, 0, 0, 0);
  REQUIRE(::VirtualAlloc(view, page_bytes, MEM_COMMIT, PAGE_READWRITE) == view);
  CHECK(says(refusal(std::move(section)), "that were offered"));
  ::UnmapViewOfFile(view);
}

TEST_CASE("a client that never answers costs nothing once its connection has gone") {
  const auto connect_and_go = [] {
    Met met = meet();
    offer_and_go(std::move(met.server));
  };
  connect_and_go();  // after which the system's thread pool has what it needs
  const std::size_t before = test::open_handles().size();
  constexpr std::size_t connections = 16;
  for (std::size_t i = 0; i < connections; ++i) connect_and_go();
  CHECK(test::open_handles().size() < before + connections);  // fewer than one of each
}

TEST_CASE("a listener that goes before its client came to open the memory is a reset") {
  Met met = meet();
  offer_and_go(std::move(met.server));
  CHECK(meeting_failure(std::move(met.client)).status() == FERRY_RESET);
}

TEST_CASE("memory whose name belongs to another session is said to") {
  Met met = meet();
  // An offer whose names nobody has made.
  std::array<std::byte, offer_bytes + sizeof(Token)> message{};
  write_offer(sound_offer(), std::span(message).first<offer_bytes>());
  OVERLAPPED writing{};
  DWORD sent = 0;
  ::WriteFile(met.server.get(), message.data(), message.size(), nullptr, &writing);
  REQUIRE(::GetOverlappedResult(met.server.get(), &writing, &sent, TRUE) != FALSE);
  const plugin::Failure failure = meeting_failure(std::move(met.client));
  CHECK(failure.status() == FERRY_NOT_FOUND);
  CHECK(says(failure.what(), "session"));
}
