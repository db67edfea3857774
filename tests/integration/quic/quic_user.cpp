// A program that uses what a quic connection has beside one stream, to stand against quic-go: as a client that opens
// streams and sends datagrams, and as a server that echoes both. Each line of standard output is a JSON object.
#include <future>
#include <iostream>
#include <list>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "command_line.hpp"
#include "ferry/identity.hpp"
#include "ferry/runtime.hpp"
#include "ferry/streams.hpp"

using namespace ferry;
using namespace std::chrono_literals;

namespace {

std::mutex output;

void report(const std::string& line) {
  const std::scoped_lock lock(output);
  std::cout << "{" << line << "}" << std::endl;
}

std::string text_of(std::optional<std::uint64_t> code) { return code ? std::to_string(*code) : "null"; }

/// Bytes that both directions of an echo can make for themselves.
std::vector<std::byte> pattern(std::uint64_t size, std::uint32_t seed) {
  std::minstd_rand random(seed + 1);
  std::vector<std::byte> out(size);
  for (std::byte& byte : out) byte = static_cast<std::byte>(random() >> 8);
  return out;
}

struct Options {
  std::string descriptor;
  std::uint32_t streams = 1;
  std::uint64_t size = 1;
  std::uint32_t datagrams = 0;
  std::string behaviour = "echo";
  std::uint64_t code = 0;
  bool move = false;
};

/// One stream of the client: what it sent must come back.
void run_stream(Connection& stream, std::uint32_t seed, const Options& options) {
  const std::vector<std::byte> sent = pattern(options.size, seed);
  auto writing = std::async(std::launch::async, [&] {
    const Status written = stream.write(sent, 60s).status;
    if (options.behaviour == "reset") return reset_stream(stream, options.code);
    if (options.behaviour == "stop") return stop_stream(stream, options.code);
    const Status shut = stream.shutdown_write();
    return written == Status::ok ? shut : written;
  });
  std::vector<std::byte> got(sent.size() + 1);
  const IoResult result = stream.read_exactly(got, 60s);
  got.resize(result.size);
  const bool same = std::equal(got.begin(), got.end(), sent.begin());
  report("\"stream\": " + std::to_string(seed) + ", \"received\": " + std::to_string(result.size) + ", \"same\": " +
         (same ? "true" : "false") + ", \"read\": \"" + std::string(name_of(result.status)) + "\", \"write\": \"" +
         std::string(name_of(writing.get())) + "\", \"read_code\": " + text_of(peer_code(stream, FERRY_READ)) +
         ", \"write_code\": " + text_of(peer_code(stream, FERRY_WRITE)));
}

/// Each is sent again until its echo comes: they may be lost.
std::uint32_t exchange_datagrams(Connection& connection, std::uint32_t count) {
  Connection datagrams = open_datagrams(connection);
  std::uint32_t returned = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::vector<std::byte> sent = pattern(100, i);
    std::vector<std::byte> got(2000);
    for (int attempt = 0; attempt < 20; ++attempt) {
      if (datagrams.write(sent, 5s).status != Status::ok) return returned;
      const IoResult result = datagrams.read(got, 500ms);
      if (!result || result.size != sent.size() || !std::equal(sent.begin(), sent.end(), got.begin())) continue;
      ++returned;
      break;
    }
  }
  return returned;
}

void client(Runtime& runtime, const Options& options) {
  Connection first = runtime.connect_stream(options.descriptor, 10s);
  const Identity identity = identity_of(first);
  report("\"peer\": \"" + identity.fingerprint + "\", \"protocol\": \"" + identity.protocol + "\", \"cipher\": \"" +
         identity.cipher + "\", \"resumed\": " + (identity.resumed ? "true" : "false"));
  if (options.datagrams > 0) {
    report("\"datagrams\": " + std::to_string(exchange_datagrams(first, options.datagrams)));
  }
  std::list<Connection> more;
  for (std::uint32_t i = 1; i < options.streams; ++i) more.push_back(open_stream(first, 30s));
  if (options.move) {
    move_to(first, {}, 10s);
    report(std::string("\"moved\": \"") + current_path(first).local_address + "\"");
  }
  std::list<std::thread> threads;
  std::uint32_t seed = 1;
  for (Connection& stream : more) threads.emplace_back([&, seed = seed++] { run_stream(stream, seed, options); });
  run_stream(first, 0, options);
  for (std::thread& thread : threads) thread.join();
}

void serve_stream(Connection& stream) {
  std::vector<std::byte> bytes(65536);
  IoResult got;
  while ((got = stream.read(bytes)).status == Status::ok) {
    if (!stream.write(ConstBytes(bytes).first(got.size))) break;
  }
  report("\"ended\": \"" + std::string(name_of(got.status)) + "\", \"read_code\": " +
         text_of(peer_code(stream, FERRY_READ)) + ", \"write_code\": " + text_of(peer_code(stream, FERRY_WRITE)));
  (void)stream.close();
}

void serve_connection(Connection first) {
  Listener listener;
  Connection datagrams;
  try {
    listener = listen_for_streams(first);
    datagrams = open_datagrams(first);
  } catch (const Error&) {  // the peer has closed the connection already
    return serve_stream(first);
  }
  std::thread datagram_echo([&] {
    std::vector<std::byte> bytes(65536);
    for (IoResult got; (got = datagrams.read(bytes)).status == Status::ok;) {
      (void)datagrams.write(ConstBytes(bytes).first(got.size));
    }
  });
  std::list<std::thread> threads;
  threads.emplace_back([&] { serve_stream(first); });
  for (Connection stream; listener.try_accept(stream, Deadline::never()) == Status::ok;) {
    threads.emplace_back([&, own = std::make_shared<Connection>(std::move(stream))] { serve_stream(*own); });
  }
  for (std::thread& thread : threads) thread.join();
  datagram_echo.join();
}

void server(Runtime& runtime, const Options& options) {
  Listener listener = runtime.listen(options.descriptor);
  report("\"listening\": \"" + listener.descriptor() + "\"");
  for (;;) {
    Connection accepted;
    if (listener.try_accept(accepted, Deadline::never()) != Status::ok) continue;  // one client's failure
    std::thread([own = std::make_shared<Connection>(std::move(accepted))] {
      serve_connection(std::move(*own));
    }).detach();
  }
}

}  // namespace

int main(int argc, char** argv) {
  host::Program program("streams and datagrams of quic, against another implementation");
  Options options;
  bool is_client = false;
  host::Command as_client = program.verb("client", "Opens streams and sends datagrams", [&] { is_client = true; });
  host::Command as_server = program.verb("server", "Echoes both", [] {});
  for (host::Command side : {as_client, as_server}) side.option("descriptor", options.descriptor).required();
  as_client.option("--streams", options.streams);
  as_client.option("--size", options.size);
  as_client.option("--datagrams", options.datagrams);
  as_client.option("--behaviour", options.behaviour);
  as_client.option("--code", options.code);
  as_client.flag("--move", options.move);
  if (const auto code = program.parse(argc, argv)) return *code;
  Config config;
  config.plugins.plugin_dirs = {FERRY_PLUGIN_DIR};
  try {
    Runtime runtime(config);
    is_client ? client(runtime, options) : server(runtime, options);
    return 0;
  } catch (const Error& error) {
    report("\"failed\": \"" + std::string(name_of(error.status())) + "\"");
    std::cerr << error.what() << "\n";
    return 1;
  }
}
