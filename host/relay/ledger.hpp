// What a relay carried, so that a byte which went missing is seen.
#pragma once

#include <cstdint>

#include "exit_code.hpp"

namespace ferry::host {

/// Bytes of one direction: taken from the source, handed to the sink.
struct FlowLedger {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::uint64_t spliced = 0;  ///< of those handed over: what never left the kernel
  /// Taken and never handed over: the sink failed, or the relay was cut short.
  std::uint64_t unaccounted() const noexcept { return in - out; }
  FlowLedger& operator+=(const FlowLedger& other) noexcept {
    in += other.in;
    out += other.out;
    spliced += other.spliced;
    return *this;
  }
};

/// Of a relay's whole life.
struct Ledger {
  std::uint64_t connections = 0;       ///< clients accepted
  std::uint64_t connect_failures = 0;  ///< whose target could not be reached
  std::uint64_t resets = 0;            ///< ended by a reset of either side, passed on
  std::uint64_t cut = 0;               ///< still alive when the relay was told to end at once
  FlowLedger to_target;
  FlowLedger to_client;
  Ledger& operator+=(const Ledger& other) noexcept {
    connections += other.connections;
    connect_failures += other.connect_failures;
    resets += other.resets;
    cut += other.cut;
    to_target += other.to_target;
    to_client += other.to_client;
    return *this;
  }
  std::uint64_t unaccounted() const noexcept { return to_target.unaccounted() + to_client.unaccounted(); }
};

/// Prints it: a few lines on standard error, or with `json` one line on standard output.
void print_ledger(const Ledger& ledger, bool json);
/// data_incomplete when bytes are unaccounted for, else ok.
ExitCode exit_code_of(const Ledger& ledger) noexcept;

}  // namespace ferry::host
