// The C++20 SDK for plugin authors, over abi.h alone.
//
// Write three classes and one definition:
//
//   class MyConnection : public ferry::plugin::Connection<MyConnection> { … read, write, pollable, … };
//   class MyListener   : public ferry::plugin::Listener<MyListener>     { … accept, pollable, … };
//   class MyTransport  : public ferry::plugin::Transport<MyTransport>   { … connect, listen … };
//   FERRY_PLUGIN(MyTransport, { .name = "mine", … });
//
// The base classes build the ABI's tables from the members that the class has: a member that is absent leaves its slot
// NULL (or takes the documented default), and every call into the class is a trampoline that turns an exception into a
// status. Throw `Failure` from cold calls to say why; hot calls (read, write, arm) should return statuses, though an
// exception is caught there as well. Objects are made with `new` and handed over with `release()`.
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "ferry/abi.h"

namespace ferry::plugin {

/// Thrown by cold calls: what went wrong and what to do, without operation and target (the core prepends them).
class Failure : public std::exception {
 public:
  explicit Failure(ferry_status status, std::string message, int os_error = 0)
      : status_(status), os_error_(os_error), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  ferry_status status() const noexcept { return status_; }
  int os_error() const noexcept { return os_error_; }

 private:
  ferry_status status_;
  int os_error_;
  std::string message_;
};

/// Fills a caller's error (which may be null or of an older, shorter layout) and returns `status`.
inline ferry_status fail(ferry_error* error, ferry_status status, std::string_view message, int os_error = 0) noexcept {
  if (error != nullptr && error->struct_size > offsetof(ferry_error, message) + 1) {
    error->status = status;
    error->os_error = os_error;
    const std::size_t room = error->struct_size - offsetof(ferry_error, message) - 1;
    std::size_t size = message.size() < room ? message.size() : room;
    while (size > 0 && size < message.size() && (static_cast<unsigned char>(message[size]) & 0xC0u) == 0x80u) --size;
    std::memcpy(error->message, message.data(), size);
    error->message[size] = '\0';
  }
  return status;
}

/// What a status says where the plugin had nothing to add, so that no failure is without a text.
constexpr std::string_view text_of(ferry_status status) noexcept {
  switch (status) {
    case FERRY_WOULD_BLOCK:
      return "it would have to wait";
    case FERRY_TIMED_OUT:
      return "the deadline passed";
    case FERRY_INTERRUPTED:
      return "interrupted";
    case FERRY_RESET:
      return "the other side cut the connection";
    case FERRY_REFUSED:
      return "nobody listens there";
    case FERRY_NOT_FOUND:
      return "there is no such address";
    case FERRY_PERMISSION:
      return "not permitted";
    case FERRY_NO_RESOURCES:
      return "out of descriptors, memory or buffers";
    case FERRY_CLOSED:
      return "closed";
    default:
      return "failed; the plugin gave no reason";
  }
}

/// The trampoline of cold calls: runs `body` (returning a ferry_status) and turns exceptions into a status and text.
template <class Body>
ferry_status guard(ferry_error* error, Body&& body) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (const Failure& failure) {
    return fail(error, failure.status(), failure.what(), failure.os_error());
  } catch (const std::bad_alloc&) {
    return fail(error, FERRY_NO_RESOURCES, "out of memory");
  } catch (const std::exception& exception) {
    return fail(error, FERRY_INTERNAL, exception.what());
  } catch (...) {
    return fail(error, FERRY_INTERNAL, "the plugin threw something that is no std::exception");
  }
}

/// The trampoline of hot calls.
template <class Body>
auto guard_hot(Body&& body) noexcept -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const Failure& failure) {
    return failure.status();
  } catch (const std::bad_alloc&) {
    return FERRY_NO_RESOURCES;
  } catch (...) {
    return FERRY_INTERNAL;
  }
}

/// Resolved option values, indexed by the row's position in the plugin's table. Valid as long as the call they came
/// with.
class Options {
 public:
  explicit Options(const ferry_values* values) noexcept : values_(values) {}
  const ferry_value& operator[](std::uint32_t index) const noexcept {
    static constexpr ferry_value unset{};
    if (values_ == nullptr || index >= values_->count) return unset;
    return *reinterpret_cast<const ferry_value*>(reinterpret_cast<const char*>(values_->values) +
                                                 std::size_t{index} * values_->value_stride);
  }
  bool is_set(std::uint32_t index) const noexcept { return (*this)[index].is_set != 0; }
  bool flag(std::uint32_t index) const noexcept { return (*this)[index].integer != 0; }
  std::int64_t integer(std::uint32_t index, std::int64_t when_unset = 0) const noexcept {
    return is_set(index) ? (*this)[index].integer : when_unset;
  }
  std::string_view text(std::uint32_t index) const noexcept {
    const char* text = (*this)[index].text;
    return text == nullptr ? std::string_view() : std::string_view(text);
  }

 private:
  const ferry_values* values_;
};

/// Helpers that make option rows; all text must be static.
namespace option {
inline constexpr std::uint32_t both = FERRY_OPTION_CONNECT | FERRY_OPTION_LISTEN;
constexpr ferry_option row(ferry_option_type type, const char* name, const char* default_text, std::int64_t minimum,
                           std::int64_t maximum, const char* help, std::uint32_t flags,
                           const char* const* choices = nullptr) {
  return {sizeof(ferry_option), type, flags, 0, name, default_text, minimum, maximum, choices, help};
}
constexpr ferry_option boolean(const char* name, const char* default_text, const char* help,
                               std::uint32_t flags = both) {
  return row(FERRY_OPTION_BOOL, name, default_text, 0, 1, help, flags);
}
constexpr ferry_option integer(const char* name, const char* default_text, std::int64_t minimum, std::int64_t maximum,
                               const char* help, std::uint32_t flags = both) {
  return row(FERRY_OPTION_INTEGER, name, default_text, minimum, maximum, help, flags);
}
constexpr ferry_option size(const char* name, const char* default_text, std::int64_t minimum, std::int64_t maximum,
                            const char* help, std::uint32_t flags = both) {
  return row(FERRY_OPTION_SIZE, name, default_text, minimum, maximum, help, flags);
}
constexpr ferry_option duration(const char* name, const char* default_text, std::int64_t minimum_ns,
                                std::int64_t maximum_ns, const char* help, std::uint32_t flags = both) {
  return row(FERRY_OPTION_DURATION, name, default_text, minimum_ns, maximum_ns, help, flags);
}
constexpr ferry_option text(const char* name, const char* default_text, const char* help, std::uint32_t flags = both) {
  return row(FERRY_OPTION_TEXT, name, default_text, 0, 4096, help, flags);
}
constexpr ferry_option choice(const char* name, const char* default_text, const char* const* choices, const char* help,
                              std::uint32_t flags = both) {
  return row(FERRY_OPTION_CHOICE, name, default_text, 0, 0, help, flags, choices);
}
constexpr ferry_option mode(const char* name, const char* default_text, const char* help, std::uint32_t flags = both) {
  return row(FERRY_OPTION_MODE, name, default_text, 0, 0777, help, flags);
}
}  // namespace option

/// Copies text into one of ferry_connection_info's address members, cutting at the end.
inline void copy_address(char (&out)[FERRY_ADDRESS_SIZE], std::string_view text) noexcept {
  const std::size_t size = text.size() < sizeof(out) - 1 ? text.size() : sizeof(out) - 1;
  std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

/// Base of a connection class. Required members (see abi.h for each contract):
///   int64_t read(void*, uint64_t, int64_t deadline);
///   int64_t write(const ferry_iovec*, uint32_t, uint32_t flags, int64_t deadline);
///   ferry_status pollable(ferry_interest, ferry_pollable&);
///   void interrupt();                        ferry_status finish(int64_t deadline);
///   void describe(ferry_connection_info&);   // zeroed, kind FERRY_STREAM, frame_alignment 1
/// Optional: int32_t arm(ferry_interest) (default: always FERRY_ARMED, right for level-triggered descriptors),
///   ferry_status shutdown_write(), void abort_now() (before the destructor; default: nothing),
///   void effective(ferry_value*, uint32_t), static const void* extension(std::string_view id).
template <class Derived>
class Connection {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ferry_connection* abi() noexcept { return &abi_; }
  static Derived& from(ferry_connection* connection) noexcept {
    static_assert(std::is_standard_layout_v<Connection>);
    return *static_cast<Derived*>(reinterpret_cast<Connection*>(connection));
  }

 protected:
  Connection() noexcept : abi_{sizeof(ferry_connection), 0, &table()} {}
  ~Connection() = default;

 private:
  static const ferry_connection_ops& table() noexcept;
  ferry_connection abi_;
};

/// Base of a listener class. Required members:
///   std::unique_ptr<SomeConnection> accept(int64_t deadline, ferry_status& why_not);  // or throw Failure
///   ferry_status pollable(ferry_pollable&);   void interrupt();   std::string local_address();
/// Optional: int32_t arm(), void effective(ferry_value*, uint32_t), void reconfigure(Options),
///   static const void* extension(std::string_view id). The destructor closes.
template <class Derived>
class Listener {
 public:
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  ferry_listener* abi() noexcept { return &abi_; }
  static Derived& from(ferry_listener* listener) noexcept {
    return *static_cast<Derived*>(reinterpret_cast<Listener*>(listener));
  }

 protected:
  Listener() noexcept : abi_{sizeof(ferry_listener), 0, &table()} {}
  ~Listener() = default;

 private:
  static const ferry_listener_ops& table() noexcept;
  ferry_listener abi_;
};

/// Base of a transport class. Required members:
///   Derived(const ferry_host&, Options);
///   std::unique_ptr<SomeConnection> connect(const char* address, Options, int64_t deadline, const ferry_cancel*,
///                                           ferry_status& why_not);   // null + why_not, or throw Failure
///   std::unique_ptr<SomeListener> listen(const char* address, Options);
///   static void check_address(std::string_view);                        // throw Failure(FERRY_INVALID, …)
/// Optional: void effective(Options, ferry_value*, uint32_t).
template <class Derived>
class Transport {
 public:
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  ferry_transport* abi() noexcept { return &abi_; }
  static Derived& from(ferry_transport* transport) noexcept {
    return *static_cast<Derived*>(reinterpret_cast<Transport*>(transport));
  }

 protected:
  Transport() noexcept : abi_{sizeof(ferry_transport), 0, &table()} {}
  ~Transport() = default;

 private:
  static const ferry_transport_ops& table() noexcept;
  ferry_transport abi_;
};

/// What FERRY_PLUGIN needs to know. All text must be static.
struct Description {
  const char* name = nullptr;
  const char* version = "0";
  const char* description = "";
  const char* licence = "";
  const char* const* schemes = nullptr;  ///< NULL-terminated
  std::uint64_t capabilities = FERRY_CAP_STREAM;
  const ferry_option* options = nullptr;
  std::uint32_t option_count = 0;
  const char* ephemeral_address = nullptr;
};

// ------------------------------------------------------------------------------------------ implementation

template <class Derived>
const ferry_connection_ops& Connection<Derived>::table() noexcept {
  static const ferry_connection_ops ops = [] {
    ferry_connection_ops o{};
    o.struct_size = sizeof(o);
    o.read = [](ferry_connection* c, void* data, std::uint64_t size, std::int64_t deadline) noexcept -> std::int64_t {
      return guard_hot([&]() -> std::int64_t { return from(c).read(data, size, deadline); });
    };
    o.write = [](ferry_connection* c, const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                 std::int64_t deadline) noexcept -> std::int64_t {
      return guard_hot([&]() -> std::int64_t { return from(c).write(pieces, count, flags, deadline); });
    };
    o.arm = [](ferry_connection* c, ferry_interest interest) noexcept -> std::int32_t {
      if constexpr (requires { from(c).arm(interest); }) {
        return guard_hot([&]() -> std::int32_t { return from(c).arm(interest); });
      } else {
        (void)c, (void)interest;
        return FERRY_ARMED;
      }
    };
    o.pollable = [](ferry_connection* c, ferry_interest interest, ferry_pollable* out) noexcept -> ferry_status {
      *out = {};
      return guard_hot([&]() -> ferry_status { return from(c).pollable(interest, *out); });
    };
    if constexpr (requires(Derived & d) { d.shutdown_write(); }) {
      o.shutdown_write = [](ferry_connection* c) noexcept -> ferry_status {
        return guard_hot([&]() -> ferry_status { return from(c).shutdown_write(); });
      };
    }
    o.interrupt = [](ferry_connection* c) noexcept {
      (void)guard_hot([&]() -> ferry_status { return from(c).interrupt(), FERRY_OK; });
    };
    o.finish = [](ferry_connection* c, std::int64_t deadline) noexcept -> ferry_status {
      return guard_hot([&]() -> ferry_status { return from(c).finish(deadline); });
    };
    o.close = [](ferry_connection* c) noexcept { delete &from(c); };
    o.abort = [](ferry_connection* c) noexcept {
      if constexpr (requires(Derived & d) { d.abort_now(); }) {
        (void)guard_hot([&]() -> ferry_status { return from(c).abort_now(), FERRY_OK; });
      }
      delete &from(c);
    };
    o.info = [](ferry_connection* c, ferry_connection_info* out) noexcept -> ferry_status {
      return guard_hot([&]() -> ferry_status {
        ferry_connection_info info{};
        info.kind = FERRY_STREAM;
        info.frame_alignment = 1;
        from(c).describe(info);
        const std::uint32_t size = out->struct_size < sizeof(info) ? out->struct_size : std::uint32_t{sizeof(info)};
        info.struct_size = out->struct_size;
        std::memcpy(out, &info, size);
        return FERRY_OK;
      });
    };
    if constexpr (requires(Derived & d, ferry_value * v) { d.effective(v, 0u); }) {
      o.effective = [](ferry_connection* c, ferry_value* values, std::uint32_t count) noexcept -> ferry_status {
        return guard_hot([&]() -> ferry_status { return from(c).effective(values, count), FERRY_OK; });
      };
    }
    if constexpr (requires { Derived::extension(std::string_view()); }) {
      o.get_extension = [](ferry_connection*, const char* id) noexcept -> const void* {
        return Derived::extension(id);
      };
    }
    return o;
  }();
  return ops;
}

template <class Derived>
const ferry_listener_ops& Listener<Derived>::table() noexcept {
  static const ferry_listener_ops ops = [] {
    ferry_listener_ops o{};
    o.struct_size = sizeof(o);
    o.accept = [](ferry_listener* l, std::int64_t deadline, ferry_connection** out, ferry_error* error) noexcept {
      return guard(error, [&]() -> ferry_status {
        ferry_status why_not = FERRY_WOULD_BLOCK;
        auto connection = from(l).accept(deadline, why_not);
        if (connection == nullptr) return fail(error, why_not, text_of(why_not));
        *out = connection.release()->abi();
        return FERRY_OK;
      });
    };
    o.arm = [](ferry_listener* l) noexcept -> std::int32_t {
      if constexpr (requires { from(l).arm(); }) {
        return guard_hot([&]() -> std::int32_t { return from(l).arm(); });
      } else {
        (void)l;
        return FERRY_ARMED;
      }
    };
    o.pollable = [](ferry_listener* l, ferry_pollable* out) noexcept -> ferry_status {
      *out = {};
      return guard_hot([&]() -> ferry_status { return from(l).pollable(*out); });
    };
    o.interrupt = [](ferry_listener* l) noexcept {
      (void)guard_hot([&]() -> ferry_status { return from(l).interrupt(), FERRY_OK; });
    };
    o.local_address = [](ferry_listener* l, char* text, std::uint32_t size) noexcept -> std::uint32_t {
      try {
        const std::string address = from(l).local_address();
        if (address.size() < size) std::memcpy(text, address.c_str(), address.size() + 1);
        return static_cast<std::uint32_t>(address.size() + 1);
      } catch (...) {
        return 0;
      }
    };
    if constexpr (requires(Derived & d, ferry_value * v) { d.effective(v, 0u); }) {
      o.effective = [](ferry_listener* l, ferry_value* values, std::uint32_t count) noexcept -> ferry_status {
        return guard_hot([&]() -> ferry_status { return from(l).effective(values, count), FERRY_OK; });
      };
    }
    if constexpr (requires(Derived & d, Options options) { d.reconfigure(options); }) {
      o.reconfigure = [](ferry_listener* l, const ferry_values* options, ferry_error* error) noexcept {
        return guard(error, [&]() -> ferry_status { return from(l).reconfigure(Options(options)), FERRY_OK; });
      };
    }
    o.close = [](ferry_listener* l) noexcept { delete &from(l); };
    if constexpr (requires { Derived::extension(std::string_view()); }) {
      o.get_extension = [](ferry_listener*, const char* id) noexcept -> const void* { return Derived::extension(id); };
    }
    return o;
  }();
  return ops;
}

template <class Derived>
const ferry_transport_ops& Transport<Derived>::table() noexcept {
  static const ferry_transport_ops ops = [] {
    ferry_transport_ops o{};
    o.struct_size = sizeof(o);
    o.connect = [](ferry_transport* t, const char* address, const ferry_values* options, std::int64_t deadline,
                   const ferry_cancel* cancel, ferry_connection** out, ferry_error* error) noexcept {
      return guard(error, [&]() -> ferry_status {
        ferry_status why_not = FERRY_WOULD_BLOCK;
        auto connection = from(t).connect(address, Options(options), deadline, cancel, why_not);
        if (connection == nullptr) return fail(error, why_not, text_of(why_not));
        *out = connection.release()->abi();
        return FERRY_OK;
      });
    };
    o.listen = [](ferry_transport* t, const char* address, const ferry_values* options, ferry_listener** out,
                  ferry_error* error) noexcept {
      return guard(error, [&]() -> ferry_status {
        auto listener = from(t).listen(address, Options(options));
        if (listener == nullptr) return fail(error, FERRY_INTERNAL, "the plugin's listen returned nothing");
        *out = listener.release()->abi();
        return FERRY_OK;
      });
    };
    if constexpr (requires(Derived & d, Options options, ferry_value * v) { d.effective(options, v, 0u); }) {
      o.effective = [](ferry_transport* t, const ferry_values* options, ferry_value* values, std::uint32_t count,
                       ferry_error* error) noexcept {
        return guard(error,
                     [&]() -> ferry_status { return from(t).effective(Options(options), values, count), FERRY_OK; });
      };
    }
    o.destroy = [](ferry_transport* t) noexcept { delete &from(t); };
    return o;
  }();
  return ops;
}

/// Makes the exported description of a plugin. Constant-initialised: loading runs no code of the plugin.
template <class T>
constexpr ferry_plugin define(const Description& d) {
  ferry_plugin p{};
  p.struct_size = sizeof(p);
  p.abi_major = FERRY_ABI_MAJOR;
  p.abi_minor = FERRY_ABI_MINOR;
  p.option_count = d.option_count;
  p.option_stride = sizeof(ferry_option);
  p.capabilities = d.capabilities;
  p.name = d.name;
  p.version = d.version;
  p.description = d.description;
  p.licence = d.licence;
  p.schemes = d.schemes;
  p.options = d.options;
  p.ephemeral_address = d.ephemeral_address;
  p.check_address = [](const char* address, ferry_error* error) noexcept {
    return guard(error, [&]() -> ferry_status { return T::check_address(address), FERRY_OK; });
  };
  p.create = [](const ferry_host* host, const ferry_values* options, ferry_transport** out,
                ferry_error* error) noexcept {
    return guard(error, [&]() -> ferry_status {
      *out = (new T(*host, Options(options)))->abi();
      return FERRY_OK;
    });
  };
  if constexpr (requires { T::extension(std::string_view()); }) {
    p.get_extension = [](const char* id) noexcept -> const void* { return T::extension(id); };
  }
  return p;
}

}  // namespace ferry::plugin

/// Exports the plugin; once per library, at namespace scope.
#define FERRY_PLUGIN(TransportClass, ...)                                       \
  extern "C" FERRY_PLUGIN_EXPORT constinit const ferry_plugin ferry_plugin_v1 = \
      ::ferry::plugin::define<TransportClass>(::ferry::plugin::Description __VA_ARGS__)
