#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <utility>

namespace ferry::host {

Argument Argument::required() {
  option_->required();
  return *this;
}

Argument Argument::value_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Argument Argument::show_default() {
  option_->capture_default_str();
  return *this;
}

Argument Argument::one_of(const std::vector<std::string>& words) {
  option_->check(CLI::IsMember(words));
  return *this;
}

Argument Argument::in_group(const std::string& name) {
  option_->group(name);
  return *this;
}

Argument Argument::comma_separated() {
  option_->delimiter(',');
  return *this;
}

Argument Argument::one_value_each() {
  option_->allow_extra_args(false);
  return *this;
}

template <class T>
Argument Argument::range(T low, T high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

template Argument Argument::range(int, int);
template Argument Argument::range(unsigned, unsigned);
template Argument Argument::range(double, double);

template <class T>
Argument Command::option(const std::string& name, T& value, const std::string& help) {
  return Argument(*app_->add_option(name, value, help));
}

template Argument Command::option(const std::string&, std::string&, const std::string&);
template Argument Command::option(const std::string&, std::filesystem::path&, const std::string&);
template Argument Command::option(const std::string&, int&, const std::string&);
template Argument Command::option(const std::string&, unsigned&, const std::string&);
template Argument Command::option(const std::string&, std::uint16_t&, const std::string&);
template Argument Command::option(const std::string&, std::int64_t&, const std::string&);
template Argument Command::option(const std::string&, std::uint64_t&, const std::string&);
template Argument Command::option(const std::string&, double&, const std::string&);
template Argument Command::option(const std::string&, std::vector<std::string>&, const std::string&);
template Argument Command::option(const std::string&, std::vector<int>&, const std::string&);
template Argument Command::option(const std::string&, std::vector<unsigned>&, const std::string&);

Argument Command::option_read_by(const std::string& name, std::function<void(const std::string&)> read,
                                 const std::string& help) {
  return Argument(*app_->add_option_function<std::string>(name, read, help));
}

Argument Command::list_read_by(const std::string& name, std::function<void(const std::vector<std::string>&)> read,
                               const std::string& help) {
  return Argument(*app_->add_option_function<std::vector<std::string>>(name, read, help)).one_value_each();
}

Argument Command::flag(const std::string& name, bool& value, const std::string& help) {
  return Argument(*app_->add_flag(name, value, help));
}

Command Command::verb(const std::string& name, const std::string& help, std::function<void()> chosen) {
  CLI::App& verb = *app_->add_subcommand(name, help);
  verb.footer("");
  verb.final_callback(std::move(chosen));
  return Command(verb);
}

void Command::hide() { app_->group(""); }

void refuse_value(const std::string& option, const std::string& problem) {
  throw CLI::ValidationError(option, problem);
}

Program::Program(const std::string& description) : Program(std::make_unique<CLI::App>(description)) {}

Program::Program(std::unique_ptr<CLI::App> app) : Command(*app), owned_(std::move(app)) {
  owned_->allow_windows_style_options(false);  // a path may begin with a slash
}

Program::~Program() = default;

std::optional<int> Program::parse(int argc, char** argv) {
  try {
    owned_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return owned_->exit(error);
  }
  return std::nullopt;
}

}  // namespace ferry::host
