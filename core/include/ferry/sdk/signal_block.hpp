// Keeps a thread that a plugin starts out of the application's signal handling.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace ferry::plugin {

/// Blocks every signal while in scope, so that a thread started meanwhile never runs the application's handlers.
class SignalBlock {
 public:
  SignalBlock() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_;
};

}  // namespace ferry::plugin
