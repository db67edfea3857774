// The standard streams: as the two ends of an exchange, and kept from doing harm when somebody closes them.
#pragma once

#include <memory>

#include "ferry/connection.hpp"
#include "ferry/deadline.hpp"

namespace ferry::host {

/// Opens the null device for each standard stream that the process was started without; otherwise the next socket would
/// get its number, and the log would be written to a client. To be called before anything else is opened.
void fill_closed_standard_streams() noexcept;
/// From here on writing where nobody reads is an error to report, not a death without a word.
void ignore_broken_pipes() noexcept;

/// Standard input, read by one thread at a time.
class StandardInput {
 public:
  /// Throws Error(no_resources) when the system gives no descriptor for cancel().
  StandardInput();
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;
  ~StandardInput();

  /// At least one byte, or end, timed_out, interrupted (cancel), io.
  IoResult read(MutableBytes into, Deadline deadline);
  /// Makes the current and every later read return. Any thread.
  void cancel() noexcept;
  bool is_terminal() const noexcept;

 private:
  struct State;
  const std::shared_ptr<State> state_;  // on Windows a thread has it as well
};

/// Writes everything to standard output. False when nobody reads it any more or it failed. Raises no signal after a
/// StandardInput was made.
bool write_standard_output(ConstBytes bytes) noexcept;
/// Lets whoever reads standard output see its end while we go on.
void end_standard_output() noexcept;

}  // namespace ferry::host
