// One end of a connection, before anything has flowed.
#pragma once

#include "segment.hpp"
#include "system.hpp"

namespace ferry::shm_spsc {

struct Link {
  Segment segment;
  Signal data;      ///< raised when there are bytes to read
  Signal room;      ///< raised when there is room to write
  bool asymmetric;  ///< both processes are registered for barriers
};

}  // namespace ferry::shm_spsc
