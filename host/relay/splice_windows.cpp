// Windows has no pipes that bytes can be moved to without reading them.
#include "relay/splice.hpp"

namespace ferry::host {

bool SharedPipe::open() noexcept { return false; }
bool SharedPipe::drain(MutableBytes) noexcept { return false; }
void SharedPipe::close() noexcept {}

Splice::Splice(Connection& source, Connection& sink) noexcept : source_(source.raw()), sink_(sink.raw()) {}
Splice::Moved Splice::move(SharedPipe&, std::size_t) noexcept { return {}; }

}  // namespace ferry::host
