#include "suite.hpp"

namespace ferry::conformance {

std::vector<Test> all_tests() {
  std::vector<Test> all;
  for (const auto theme :
       {contract_tests(), address_tests(), accept_tests(), transfer_tests(), ending_tests(), record_tests(),
        readiness_tests(), deadline_tests(), interrupt_tests(), process_tests(), resource_tests(), option_tests(),
        extension_tests(), splice_tests(), stream_tests(), datagram_tests()}) {
    all.insert(all.end(), theme.begin(), theme.end());
  }
  return all;
}

}  // namespace ferry::conformance
