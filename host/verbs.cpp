// The verbs of `ferry`: a new one is a function add_<verb> in its own file and its name in this list.
#include "verbs.hpp"

namespace ferry::host {

AddVerb add_serve, add_relay, add_connect, add_listen, add_inspect, add_explain, add_check, add_schema, add_bench,
    add_conform, add_doctor, add_completion;

void add_verbs(Command& ferry, Context& context) {
  for (AddVerb* add : {add_serve, add_relay, add_connect, add_listen, add_inspect, add_explain, add_check, add_schema,
                       add_bench, add_conform, add_doctor}) {
    add(ferry, context);
  }
  for (AddVerb* add : system_verbs()) add(ferry, context);
  add_completion(ferry, context);
}

}  // namespace ferry::host
