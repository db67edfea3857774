// The Ferry side of the Python interoperation tests; interop_test.py drives it.
//
//   channel_peer serve DESCRIPTOR KEY          prints `listening <descriptor>`, accepts one client, echoes till it ends
//   channel_peer call DESCRIPTOR KEY SIZE…     connects, sends a message of each size and checks that it comes back
//   channel_peer swap DESCRIPTOR KEY SIZE      connects, sends one message of SIZE while receiving one, checks that one
//
// KEY `-` means none. Byte i of a message is (i % 251). Exit status: 0 done, 1 failed, 3 the handshake was refused.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ferry/channel.hpp"
#include "ferry/runtime.hpp"

namespace {

using namespace ferry;

constexpr std::size_t period = 251;

std::vector<std::byte> make_message(std::size_t size) {
  std::vector<std::byte> message(size);
  for (std::size_t i = 0; i < std::min(size, period); ++i) message[i] = static_cast<std::byte>(i);
  for (std::size_t done = period; done < size; done += std::min(done, size - done)) {  // doubling keeps the period
    std::copy_n(message.begin(), std::min(done, size - done), message.begin() + static_cast<std::ptrdiff_t>(done));
  }
  return message;
}

void check(ConstBytes got, std::size_t size) {
  if (got.size() != size) throw std::runtime_error("got a message of " + std::to_string(got.size()) + " bytes");
  const std::vector<std::byte> expected = make_message(size);
  if (!std::equal(got.begin(), got.end(), expected.begin())) throw std::runtime_error("got different bytes back");
}

std::size_t to_size(std::string_view text) {
  std::size_t size = 0;
  std::from_chars(text.data(), text.data() + text.size(), size);
  return size;
}

void require(Status status, const char* operation) {
  if (status != Status::ok) throw Error(status, operation, "the Python peer", std::string(describe(status)));
}

void serve(Runtime& runtime, std::string_view descriptor, const std::string& key) {
  Listener listener = runtime.listen(descriptor);
  std::cout << "listening " << listener.descriptor() << std::endl;
  Channel channel(listener.accept());
  if (key != "-") channel.authenticate_as_listener(key);
  for (;;) {
    ConstBytes message;
    const Status status = channel.receive_view(message);
    if (status == Status::end) break;
    require(status, "receive from");
    require(channel.try_send(message), "send to");
  }
  require(channel.close(), "close the channel to");
}

void call(Channel& channel, std::span<char*> sizes) {
  for (const std::string_view text : sizes) {
    const std::size_t size = to_size(text);
    channel.send(make_message(size));
    ConstBytes message;
    require(channel.receive_view(message), "receive from");
    check(message, size);
  }
  require(channel.close(), "close the channel to");
}

void swap(Channel& channel, std::size_t size) {
  std::thread sender([&] { require(channel.try_send(make_message(size)), "send to"); });
  ConstBytes message;
  const Status status = channel.receive_view(message);
  sender.join();
  require(status, "receive from");
  check(message, size);
  require(channel.close(), "close the channel to");
}

int run(int count, char** arguments) {
  if (count < 4) return std::fputs("usage: channel_peer serve|call|swap DESCRIPTOR KEY [SIZE…]\n", stderr), 2;
  const std::string_view verb = arguments[1];
  const std::string key = arguments[3];
  Runtime runtime;
  if (verb == "serve") return serve(runtime, arguments[2], key), 0;
  Channel channel(runtime.connect_stream(arguments[2]));
  if (key != "-") channel.authenticate_as_client(key);
  const std::span sizes(arguments + 4, static_cast<std::size_t>(count - 4));
  if (verb == "swap") return swap(channel, to_size(arguments[4])), 0;
  return call(channel, sizes), 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const ferry::Error& error) {
    std::cerr << error.what() << '\n';
    return error.status() == ferry::Status::authentication ? 3 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
