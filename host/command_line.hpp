// The command line of `ferry` and of the tests' programs: verbs, options and arguments, parsed by CLI11.
//
// CLI11 is all headers, and every file that includes them compiles all of it, which takes four seconds. So options are
// declared through this, and only what asks CLI11 for the names it knows (usage.cpp, completion.cpp) sees more.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ferry::host {

/// An option or argument being declared.
class Argument {
 public:
  explicit Argument(CLI::Option& option) : option_(&option) {}

  Argument required();
  Argument value_name(const std::string& name);  ///< in the help; by default that of its type
  Argument show_default();                       ///< in the help: what the value is now
  Argument one_of(const std::vector<std::string>& words);
  Argument in_group(const std::string& name);  ///< of the help; "" hides it
  Argument comma_separated();                  ///< of a list: "a,b", too
  Argument one_value_each();                   ///< of a list: the option's name stands before each value
  /// T: int, unsigned or double.
  template <class T>
  Argument range(T low, T high);

 private:
  CLI::Option* option_;
};

/// The program, or a verb of it; a copy is the same command. What it is given to fill must live until it was parsed.
class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  /// An option ("--name") or argument ("NAME"); `value` is its default.
  /// T: a string, path, int, unsigned, std::uint16_t, std::int64_t, std::uint64_t, double, or a vector of strings, int
  /// or unsigned.
  template <class T>
  Argument option(const std::string& name, T& value, const std::string& help = {});
  /// One whose value is given to `read`, which may call refuse_value.
  Argument option_read_by(const std::string& name, std::function<void(const std::string&)> read,
                          const std::string& help);
  /// One that may be given several times, `--name` before each value; `read` gets all of them.
  Argument list_read_by(const std::string& name, std::function<void(const std::vector<std::string>&)> read,
                        const std::string& help);
  Argument flag(const std::string& name, bool& value, const std::string& help = {});

  /// A verb; `chosen` is called when the line has it and all of the line is right.
  Command verb(const std::string& name, const std::string& help, std::function<void()> chosen);
  void hide();  ///< from the help, a verb that is not for people

  CLI::App& app() const noexcept { return *app_; }

 private:
  CLI::App* app_;
};

/// Ends parsing: this option cannot have that value.
[[noreturn]] void refuse_value(const std::string& option, const std::string& problem);

/// A whole program without verbs.
class Program : public Command {
 public:
  explicit Program(const std::string& description);
  ~Program();

  /// Empty when the program is to run, else the code to exit with: help or what is wrong was printed.
  std::optional<int> parse(int argc, char** argv);

 private:
  explicit Program(std::unique_ptr<CLI::App> app);
  std::unique_ptr<CLI::App> owned_;
};

}  // namespace ferry::host
