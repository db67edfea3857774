#include <ferry/runtime.hpp>
#include <iostream>

int main(int argc, char** argv) try {
  auto runtime = ferry::Runtime::load(argc > 1 ? argv[1] : "app.json");
  auto channel = runtime.connect("engine");  // a link of the config, whatever transport it names
  channel.send("hello");
  std::cout << channel.receive_text() << '\n';
} catch (const ferry::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
