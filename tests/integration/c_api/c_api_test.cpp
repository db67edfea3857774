// The C API, through the shared library alone.
#include <doctest/doctest.h>
#include <ferry/ferry.h>

#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::int64_t long_ns = 20'000'000'000;

std::int64_t soon() { return ferry_deadline_after(long_ns); }

ferry_error empty_error() {
  ferry_error error{};
  error.struct_size = sizeof(error);
  return error;
}

struct Fixture {
  Fixture() {
    ferry_error error = empty_error();
    REQUIRE_MESSAGE(ferry_runtime_load(nullptr, &runtime, &error) == FERRY_OK, error.message);
    REQUIRE_MESSAGE(ferry_listen(runtime, "tcp://127.0.0.1:0", &server, &error) == FERRY_OK, error.message);
  }
  ~Fixture() {
    ferry_server_close(server);
    ferry_runtime_free(runtime);
  }
  std::string address() const { return ferry_server_descriptor(server); }

  ferry_runtime* runtime = nullptr;
  ferry_server* server = nullptr;
};

struct Channels : Fixture {
  Channels() {
    REQUIRE(ferry_connect(runtime, address().c_str(), &client, nullptr) == FERRY_OK);
    REQUIRE(ferry_server_accept(server, soon(), &accepted, nullptr) == FERRY_OK);
  }
  ~Channels() {
    ferry_channel_close(client);
    ferry_channel_close(accepted);
  }
  static std::string receive(ferry_channel* channel) {
    const void* data = nullptr;
    std::uint64_t size = 0;
    const ferry_status status = ferry_channel_receive(channel, &data, &size, soon());
    return status == FERRY_OK ? std::string(static_cast<const char*>(data), size) : ferry_status_text(status);
  }
  ferry_channel* client = nullptr;
  ferry_channel* accepted = nullptr;
};

}  // namespace

TEST_CASE_FIXTURE(Channels, "messages go both ways, one or many, and the end is told") {
  CHECK(ferry_channel_send(client, "ping", 4, soon()) == FERRY_OK);
  CHECK(receive(accepted) == "ping");
  const ferry_iovec messages[] = {{"one", 3}, {"", 0}, {"three", 5}};
  std::uint64_t sent = 0;
  CHECK(ferry_channel_send_many(accepted, messages, 3, &sent, soon()) == FERRY_OK);
  CHECK(sent == 3);
  for (const char* expected : {"one", "", "three"}) CHECK(receive(client) == expected);
  CHECK(ferry_channel_shutdown_write(client) == FERRY_OK);
  const void* data = nullptr;
  std::uint64_t size = 0;
  CHECK(ferry_channel_receive(accepted, &data, &size, soon()) == FERRY_END);
  CHECK(ferry_channel_receive(client, &data, &size, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(ferry_channel_receive(client, &data, &size, ferry_deadline_after(1000)) == FERRY_TIMED_OUT);
}

TEST_CASE_FIXTURE(Channels, "an interrupt from another thread ends a blocked receive, and an abort is a reset") {
  std::thread waiting([&] {
    const void* data = nullptr;
    std::uint64_t size = 0;
    CHECK(ferry_channel_receive(client, &data, &size, FERRY_FOREVER) == FERRY_INTERRUPTED);
  });
  ferry_channel_interrupt(client);
  waiting.join();
  ferry_channel_abort(client);
  client = nullptr;
  const void* data = nullptr;
  std::uint64_t size = 0;
  CHECK(ferry_channel_receive(accepted, &data, &size, soon()) == FERRY_RESET);
}

TEST_CASE_FIXTURE(Channels, "both sides prove that they know a key, or hear why not") {
  for (const std::string key : {"right", "wrong"}) {
    std::thread server_side([&] {
      ferry_error error = empty_error();
      const ferry_status status = ferry_channel_challenge_client(accepted, "right", 5, soon(), &error);
      CHECK(status == (key == "right" ? FERRY_OK : FERRY_AUTHENTICATION));
    });
    ferry_error error = empty_error();
    const ferry_status status = ferry_channel_prove_to_server(client, key.data(), key.size(), soon(), &error);
    server_side.join();
    CHECK(status == (key == "right" ? FERRY_OK : FERRY_AUTHENTICATION));
    if (status != FERRY_OK) CHECK(std::string_view(error.message).find("authenticate") != std::string_view::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "bytes go through a stream until each direction ends") {
  ferry_stream* client = nullptr;
  ferry_stream* accepted = nullptr;
  REQUIRE(ferry_connect_stream(runtime, address().c_str(), soon(), &client, nullptr) == FERRY_OK);
  REQUIRE(ferry_server_accept_stream(server, soon(), &accepted, nullptr) == FERRY_OK);
  const std::string text(100'000, 't');
  std::thread writer([&] {
    std::uint64_t written = 0;
    CHECK(ferry_stream_write(client, text.data(), text.size(), &written, soon()) == FERRY_OK);
    CHECK(written == text.size());
    CHECK(ferry_stream_shutdown_write(client) == FERRY_OK);
  });
  std::string got;
  char buffer[4096];
  std::int64_t result = 0;
  while ((result = ferry_stream_read(accepted, buffer, sizeof(buffer), soon())) > 0) {
    got.append(buffer, static_cast<std::size_t>(result));
  }
  writer.join();
  CHECK(result == FERRY_END);
  CHECK((got == text));
  ferry_stream_interrupt(client);
  CHECK(ferry_stream_read(client, buffer, sizeof(buffer), FERRY_FOREVER) == FERRY_INTERRUPTED);
  ferry_stream_abort(accepted);
  CHECK(ferry_stream_close(client) != FERRY_INTERNAL);
}

TEST_CASE_FIXTURE(Fixture, "a failure says what was attempted, on what and why, cut to fit") {
  const std::string dead = address();
  ferry_server_close(server);
  server = nullptr;
  ferry_error error = empty_error();
  ferry_channel* channel = nullptr;
  CHECK(ferry_connect(runtime, dead.c_str(), &channel, &error) == FERRY_REFUSED);
  CHECK(channel == nullptr);
  CHECK(std::string_view(error.message).find("connect " + dead) != std::string_view::npos);
  CHECK(ferry_connect(runtime, (std::string(2000, 'x') + "://y").c_str(), &channel, &error) != FERRY_OK);
  CHECK(std::strlen(error.message) == sizeof(error.message) - 1);
  CHECK(ferry_runtime_load("/nonexistent/app.json", &runtime, nullptr) == FERRY_NOT_FOUND);
}

TEST_CASE_FIXTURE(Fixture, "an interrupt ends a blocked accept") {
  std::thread accepting([&] {
    ferry_channel* channel = nullptr;
    CHECK(ferry_server_accept(server, FERRY_FOREVER, &channel, nullptr) == FERRY_INTERRUPTED);
  });
  ferry_server_interrupt(server);
  accepting.join();
}

TEST_CASE("nothing is closed as well as something") {
  ferry_runtime_free(nullptr);
  ferry_server_close(nullptr);
  CHECK(ferry_channel_close(nullptr) == FERRY_OK);
  ferry_channel_abort(nullptr);
  CHECK(ferry_stream_close(nullptr) == FERRY_OK);
  ferry_stream_abort(nullptr);
}
