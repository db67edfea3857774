// ferry.drive/1: the engine, for an event loop that drives it.
#pragma once

#include "ferry/abi.h"

namespace ferry::quic {

extern const ferry_drive drive_table;

}  // namespace ferry::quic
