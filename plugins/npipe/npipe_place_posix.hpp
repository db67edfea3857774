// Where a listener and its clients meet: the rendezvous FIFO and, beside it, the directory of the clients' own FIFOs.
//
//   <directory>/<name>            FIFO, 0600: clients write requests, the listener reads them
//   <directory>/<name>.clients/   0700: <id>.up and <id>.down of each client that waits, for as long as it does
//   <directory>/<name>.lock       while a listener is being made
//
// All of it is opened through the directory's descriptor, without blocking, without following links, and used only
// after fstat has said that it is ours.
#pragma once

#include <sys/stat.h>

#include <string>

#include "ferry/sdk/unique_fd.hpp"
#include "npipe_address.hpp"

namespace ferry::npipe {

/// A directory and a name in it. Move-only.
struct Place {
  plugin::UniqueFd directory;
  std::string name;

  std::string clients() const { return name + ".clients"; }
};

enum class MakeDirectory : std::uint8_t { no, yes };

/// Where `address` is: a path's own directory, or `pipe` in the run-time directory, which are made when `make` says so.
/// Throws Failure: UNSUPPORTED for another host, NOT_FOUND, PERMISSION.
Place find_place(const Address& address, MakeDirectory make);

/// Opens the FIFO `name` in `directory` with `flags`, non-blocking and close-on-exec. -1 and errno, which is EPERM for
/// another user's FIFO and ENOTSUP for what is no FIFO.
plugin::UniqueFd open_fifo(int directory, const char* name, int flags) noexcept;

/// What the file `name` is, as a hint for a person; empty when it is a FIFO of ours, or gone.
std::string what_is_wrong_with(int directory, const char* name);

/// Removes every FIFO in `directory` (of clients), which stays open.
void remove_fifos(int directory) noexcept;

/// Makes `fifo` hold `bytes`, or as much as the system grants (0: leaves it), and returns what it holds now. Linux
/// rounds up to a power of two pages; beyond fs.pipe-max-size, and beyond fs.pipe-user-pages-soft in all, only root
/// gets more.
std::int64_t resize_fifo(int fifo, std::int64_t bytes) noexcept;

/// The listener's end of a place. Move-only; not thread safe.
class Rendezvous {
 public:
  /// Makes the place's files. A FIFO that no process reads is replaced when `take_over` says so. Throws Failure:
  /// ADDRESS_IN_USE (somebody reads it, or what is there is no FIFO), PERMISSION, or what the system says. Does not
  /// block beyond the file system and the lock file, 1 s at most.
  Rendezvous(Place place, bool take_over);
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;
  /// Removes the files, the FIFO last: for as long as it is there a process reads it, and nobody takes it over.
  ~Rendezvous();

  int fifo() const noexcept { return fifo_.get(); }
  int clients() const noexcept { return clients_.get(); }

  /// Removes what clients that died while they connected have left, unless one is connecting at this moment.
  void tidy() noexcept;

 private:
  void make_room(bool take_over) const;

  Place place_;
  plugin::UniqueFd clients_;
  plugin::UniqueFd fifo_;
};

}  // namespace ferry::npipe
