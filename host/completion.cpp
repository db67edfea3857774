// `ferry completion`: a shell's completion of the command line, made from the verbs and options themselves.
#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "context.hpp"
#include "json.hpp"

namespace ferry::host {
namespace {

std::string options_of(const CLI::App& verb) {
  std::string words;
  for (const CLI::Option* option : verb.get_options())
    for (const auto& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
  return words;
}

/// The values an option may have, out of CLI11's own description of it ("TEXT:{text,json}"); empty when any will do.
std::string choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  std::string words = type.substr(open + 1, close - open - 1);
  for (char& c : words)
    if (c == ',') c = ' ';
  return words;
}

/// Those that --help lists: the others are not for people.
std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::string names_of_verbs(const CLI::App& app, const char* separator) {
  std::string names;
  for (const CLI::App* verb : verbs_of(app)) names += (names.empty() ? "" : separator) + verb->get_name();
  return names;
}

/// One branch for each option that has choices, of whichever verb.
void print_value_branches(std::ostream& out, const CLI::App& app, const std::string& verb) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string choices = choices_of(*option);
    if (choices.empty()) continue;
    const auto& names = option->get_lnames();
    const std::string before = names.empty() ? verb : "--" + names.front();  // an argument follows its verb
    out << "    " << verb << ":" << before << ") words='" << choices << "' ;;\n";
  }
}

void print_bash(std::ostream& out, const CLI::App& app) {
  out << "# Completion of ferry for bash; load it with: source <(ferry completion bash)\n"
         "_ferry() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= words= i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in\n"
         "      "
      << names_of_verbs(app, "|")
      << ") verb=${COMP_WORDS[i]}; break ;;\n"
         "    esac\n"
         "  done\n"
         "  case $verb:$previous in\n";
  print_value_branches(out, app, "");
  for (const CLI::App* verb : verbs_of(app)) print_value_branches(out, *verb, verb->get_name());
  out << "    *) case $verb:$current in\n"
         "      :-*) words='"
      << options_of(app)
      << "' ;;\n"
         "      :*) words='"
      << names_of_verbs(app, " ") << "' ;;\n";
  for (const CLI::App* verb : verbs_of(app)) {
    out << "      " << verb->get_name() << ":-*) words='" << options_of(*verb) << "' ;;\n";
  }
  out << "    esac ;;\n"
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _ferry ferry\n";  // default: names of files where there is nothing to say
}

}  // namespace

void add_completion(Command& ferry, Context& context) {
  Command verb = add_verb(ferry, context, "completion", "Print a completion script: source <(ferry completion bash)",
                          [ferry, &context] {
                            if (!context.json) {
                              print_bash(std::cout, ferry.app());
                              return ExitCode::ok;
                            }
                            std::ostringstream script;
                            print_bash(script, ferry.app());
                            print_json({{"shell", "bash"}, {"script", script.str()}});
                            return ExitCode::ok;
                          });
  // Which one needs no memory: there is one so far.
  verb.option_read_by(
          "SHELL", [](const std::string&) {}, "Whose")
      .required()
      .one_of({"bash"});
}

}  // namespace ferry::host
