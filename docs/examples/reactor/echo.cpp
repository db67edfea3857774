// An echo server on one reactor, as handlers and as a coroutine: two descriptors to listen at, the transport is their
// affair. Run it, then: python3 -c "from multiprocessing.connection import Client; …"
#include <cstdio>
#include <ferry/await.hpp>

namespace {

// Handlers: quick, and aware of back-pressure by hand.
void serve(ferry::Reactor& reactor, ferry::Connection connection) {
  ferry::ReactorConnection::Handlers handlers;
  handlers.on_message = [](ferry::ReactorConnection& self, ferry::ConstBytes message) {
    if (!self.send(message)) self.pause_reading();  // the peer does not read: nor do we, until it does
  };
  handlers.on_writable = [](ferry::ReactorConnection& self) { self.resume_reading(); };
  handlers.on_closed = [](ferry::ReactorConnection&, ferry::Status status) {
    std::printf("closed: %s\n", std::string(ferry::describe(status)).c_str());
  };
  reactor.add(std::move(connection), std::move(handlers));
}

// A coroutine: the same by itself.
ferry::Task<> serve_one(ferry::AsyncChannel channel) {
  while (auto message = co_await channel.receive()) co_await channel.send(*message);
  co_await channel.close();
}

ferry::Task<> accept_all(ferry::Reactor& reactor, ferry::Listener listening, ferry::Tasks& clients) {
  ferry::AsyncListener listener(reactor, std::move(listening));
  for (;;) clients.spawn(serve_one(ferry::AsyncChannel(reactor, co_await listener.accept())));
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s DESCRIPTOR DESCRIPTOR\n", argv[0]), 2;
  ferry::Runtime runtime;
  ferry::Reactor reactor;
  const auto listener =
      reactor.listen(runtime.listen(argv[1]), [&](ferry::Connection client) { serve(reactor, std::move(client)); });
  ferry::Tasks clients;
  clients.spawn(accept_all(reactor, runtime.listen(argv[2]), clients));
  std::printf("listening %s\n", listener->descriptor().c_str());
  std::fflush(stdout);
  reactor.run();
} catch (const ferry::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
