// The verbs of `ferry`: a new one is a function add_<verb> in its own file and its name in this list.
#include "context.hpp"

namespace ferry::host {

using AddVerb = void(CLI::App&, Context&);
AddVerb add_serve, add_relay, add_connect, add_listen, add_inspect, add_explain, add_check, add_schema, add_bench,
    add_conform, add_doctor, add_keygen, add_completion;

void add_verbs(CLI::App& app, Context& context) {
  for (AddVerb* add : {add_serve, add_relay, add_connect, add_listen, add_inspect, add_explain, add_check, add_schema,
                       add_bench, add_conform, add_doctor, add_keygen, add_completion}) {
    add(app, context);
  }
}

}  // namespace ferry::host
