// The reactor's waits on Windows handles.
#include <doctest/doctest.h>
#include <windows.h>
// after windows.h
#include <tlhelp32.h>

#include <memory>
#include <vector>

#include "ferry/sdk/handle_wait.hpp"
#include "reactor_watch.hpp"

namespace {

struct Loop {
  Loop() { REQUIRE(uv_loop_init(&loop) == 0); }
  ~Loop() {
    while (uv_run(&loop, UV_RUN_DEFAULT) != 0) {
    }
    CHECK(uv_loop_close(&loop) == 0);
  }
  uv_loop_t loop;
};

/// One event with its watch, and how often that fired.
struct Watched {
  explicit Watched(Loop& loop)
      : watch(ferry::Watch::open(
            &loop.loop, reinterpret_cast<std::int64_t>(event.get()),
            [](void* self, ferry::Watch&, int) { static_cast<Watched*>(self)->on_fired(); }, this)) {}
  void on_fired() {
    ++fired;
    if (reset) ::ResetEvent(event.get());
    if (fired == until) CHECK(watch->want(0));
  }
  ferry::plugin::UniqueHandle event = ferry::plugin::make_event();
  int fired = 0;
  int until = 1;
  bool reset = true;
  ferry::Watch::Pointer watch;
};

int thread_count() {
  HANDLE const snapshot = ::CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  THREADENTRY32 entry{};
  entry.dwSize = sizeof(entry);
  int count = 0;
  for (BOOL more = ::Thread32First(snapshot, &entry); more != FALSE; more = ::Thread32Next(snapshot, &entry)) {
    if (entry.th32OwnerProcessID == ::GetCurrentProcessId()) ++count;
  }
  ::CloseHandle(snapshot);
  return count;
}

}  // namespace

TEST_CASE("many handles wake the loop, and take no thread each") {
  Loop loop;
  std::vector<std::unique_ptr<Watched>> all;
  for (int i = 0; i < 500; ++i) {
    all.push_back(std::make_unique<Watched>(loop));
    REQUIRE(all.back()->watch->want(UV_READABLE));
  }
  CHECK(thread_count() < 40);  // while all wait; to tell of all at once the pool may take more for a moment
  for (const auto& one : all) ::SetEvent(one->event.get());
  uv_run(&loop.loop, UV_RUN_DEFAULT);  // returns once nobody wants anything
  for (const auto& one : all) CHECK(one->fired == 1);
  all.clear();
}

TEST_CASE("a handle that stays signalled fires in every turn, as a descriptor does") {
  Loop loop;
  Watched one(loop);
  one.reset = false;
  one.until = 3;
  REQUIRE(one.watch->want(UV_READABLE));
  ::SetEvent(one.event.get());
  uv_run(&loop.loop, UV_RUN_DEFAULT);
  CHECK(one.fired == 3);
}

TEST_CASE("an event while nothing is wanted is told when something is") {
  Loop loop;
  Watched one(loop);
  one.reset = false;
  REQUIRE(one.watch->want(UV_READABLE));
  REQUIRE(one.watch->want(0));
  ::SetEvent(one.event.get());
  uv_run(&loop.loop, UV_RUN_DEFAULT);  // nothing keeps it running
  CHECK(one.fired == 0);
  REQUIRE(one.watch->want(UV_READABLE));
  uv_run(&loop.loop, UV_RUN_DEFAULT);
  CHECK(one.fired == 1);
}

TEST_CASE("a closed watch is not called, and its handle is free at once") {
  Loop loop;
  auto one = std::make_unique<Watched>(loop);
  REQUIRE(one->watch->want(UV_READABLE));
  ::SetEvent(one->event.get());
  one.reset();
  uv_run(&loop.loop, UV_RUN_DEFAULT);
}
