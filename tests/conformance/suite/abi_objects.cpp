#include "abi_objects.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace ferry::conformance {

Connection::Connection(ferry_connection* connection) : connection_(connection) {
  require(connection != nullptr, "a call returned FERRY_OK and no connection");
  require(connection->struct_size >= sizeof(ferry_connection), "a connection's struct_size is too small");
  const ferry_connection_ops* ops = connection->ops;
  require(ops != nullptr && ops->struct_size >= sizeof(ferry_connection_ops), "a connection's table is too small");
  require(ops->read && ops->write && ops->arm && ops->pollable && ops->interrupt && ops->finish && ops->close &&
              ops->abort && ops->info,
          "a required member of a connection's table is NULL");
  info_.struct_size = sizeof info_;
  const CallMark mark(Call::info);
  expect(ops->info(connection, &info_), {FERRY_OK}, "info");
}

Connection& Connection::operator=(Connection&& other) noexcept {
  if (this != &other) {
    close();
    connection_ = std::exchange(other.connection_, nullptr);
    info_ = other.info_;
  }
  return *this;
}

std::size_t Connection::chunk() const noexcept {
  constexpr std::uint64_t stream_chunk_bytes = 1u << 20;
  return static_cast<std::size_t>(is_records() ? std::min(info_.max_record, stream_chunk_bytes) : stream_chunk_bytes);
}

std::int64_t Connection::read(void* data, std::uint64_t size, std::int64_t deadline) {
  const CallMark mark(Call::read);
  return connection_->ops->read(connection_, data, size, deadline);
}

std::int64_t Connection::write(const void* data, std::uint64_t size, std::int64_t deadline, std::uint32_t flags) {
  const ferry_iovec piece{data, size};
  return write({&piece, 1}, deadline, flags);
}

std::int64_t Connection::write(std::span<const ferry_iovec> pieces, std::int64_t deadline, std::uint32_t flags) {
  const CallMark mark(Call::write);
  return connection_->ops->write(connection_, pieces.data(), static_cast<std::uint32_t>(pieces.size()), flags,
                                 deadline);
}

std::int32_t Connection::arm(ferry_interest interest) {
  const CallMark mark(Call::arm);
  return connection_->ops->arm(connection_, interest);
}

ferry_pollable Connection::pollable(ferry_interest interest) {
  ferry_pollable out{-1, 0, 0};
  const CallMark mark(Call::pollable);
  expect(connection_->ops->pollable(connection_, interest, &out), {FERRY_OK}, "pollable");
  require(out.handle >= 0 && out.events != 0, "pollable gave no handle or no events");
  return out;
}

ferry_status Connection::shutdown_write() {
  const CallMark mark(Call::shutdown_write);
  require(connection_->ops->shutdown_write != nullptr, "FERRY_CAP_HALF_CLOSE is set and shutdown_write is NULL");
  return connection_->ops->shutdown_write(connection_);
}

void Connection::interrupt() {
  const CallMark mark(Call::interrupt);
  connection_->ops->interrupt(connection_);
}

ferry_status Connection::finish(std::int64_t deadline) {
  const CallMark mark(Call::finish);
  return connection_->ops->finish(connection_, deadline);
}

void Connection::close() {
  if (connection_ == nullptr) return;
  const CallMark mark(Call::close);
  ferry_connection* const ended = std::exchange(connection_, nullptr);
  ended->ops->close(ended);
}

void Connection::abort() {
  const CallMark mark(Call::abort);
  ferry_connection* const ended = std::exchange(connection_, nullptr);
  ended->ops->abort(ended);
}

const void* Connection::extension(const char* id) {
  const CallMark mark(Call::get_extension);
  if (!FERRY_HAS(connection_->ops, ferry_connection_ops, get_extension)) return nullptr;
  return connection_->ops->get_extension(connection_, id);
}

Listener::Listener(ferry_listener* listener) : listener_(listener) {
  require(listener != nullptr, "listen returned FERRY_OK and no listener");
  const ferry_listener_ops* ops = listener->ops;
  require(ops != nullptr && ops->struct_size >= sizeof(ferry_listener_ops), "a listener's table is too small");
  require(ops->accept && ops->arm && ops->pollable && ops->interrupt && ops->local_address && ops->close,
          "a required member of a listener's table is NULL");
}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    close();
    listener_ = std::exchange(other.listener_, nullptr);
  }
  return *this;
}

ferry_status Listener::accept(std::int64_t deadline, Connection& out, ferry_error* error) {
  ferry_connection* connection = nullptr;
  ferry_status status = FERRY_OK;
  {
    const CallMark mark(Call::accept);
    status = listener_->ops->accept(listener_, deadline, &connection, error);
  }
  if (status == FERRY_OK)
    out = Connection(connection);
  else
    require(connection == nullptr, "accept failed with ", result_text(status), " and touched its result");
  return status;
}

std::int32_t Listener::arm() {
  const CallMark mark(Call::listener_arm);
  return listener_->ops->arm(listener_);
}

ferry_pollable Listener::pollable() {
  ferry_pollable out{-1, 0, 0};
  const CallMark mark(Call::listener_pollable);
  expect(listener_->ops->pollable(listener_, &out), {FERRY_OK}, "listener pollable");
  require(out.handle >= 0 && out.events != 0, "listener pollable gave no handle or no events");
  return out;
}

void Listener::interrupt() {
  const CallMark mark(Call::listener_interrupt);
  listener_->ops->interrupt(listener_);
}

std::string Listener::local_address() {
  const CallMark mark(Call::local_address);
  std::vector<char> text(FERRY_ADDRESS_SIZE);
  const std::uint32_t needed = listener_->ops->local_address(listener_, text.data(), FERRY_ADDRESS_SIZE);
  require(needed >= 1 && needed <= FERRY_ADDRESS_SIZE, "local_address needs ", needed, " bytes");
  require(text[needed - 1] == '\0' && std::strlen(text.data()) == needed - 1, "local_address returned ", needed,
          " and copied another length");
  return text.data();
}

void Listener::close() {
  if (listener_ == nullptr) return;
  const CallMark mark(Call::listener_close);
  ferry_listener* const ended = std::exchange(listener_, nullptr);
  ended->ops->close(ended);
}

namespace {

std::vector<OptionSetting>& base_settings() {
  static std::vector<OptionSetting> settings;
  return settings;
}

OptionSetting setting_of(std::string name, std::string text) {
  OptionSetting setting;
  setting.name = std::move(name);
  setting.text = std::move(text);
  return setting;
}

}  // namespace

void set_transport_options(std::span<const std::string> options) {
  for (const std::string& option : options) {
    const std::size_t equals = option.find('=');
    require(equals != std::string::npos, "--option ", option, " is not NAME=VALUE");
    base_settings().push_back(setting_of(option.substr(0, equals), option.substr(equals + 1)));
  }
}

OptionTable table_of(const ferry_plugin& plugin) noexcept {
  return {plugin.options, plugin.option_count, plugin.option_stride};
}

Transport::Transport(const ferry_plugin& plugin, const ferry_host& host) : table_(table_of(plugin)) {
  std::vector<std::string> problems;
  options_ = OptionValues::resolve(table_, base_settings(), problems);
  require(problems.empty(), "a default or given option is not valid: ", problems.empty() ? "" : problems.front());
  Error error;
  const ferry_values values = options_.abi();
  const CallMark mark(Call::create);
  const ferry_status status = plugin.create(&host, &values, &transport_, &error);
  require(status == FERRY_OK, "create returned ", result_text(status), ": ", error.message);
  require(transport_ != nullptr && transport_->ops != nullptr &&
              transport_->ops->struct_size >= sizeof(ferry_transport_ops) && transport_->ops->connect &&
              transport_->ops->listen && transport_->ops->destroy,
          "create gave a transport whose table is too small or lacks connect, listen or destroy");
}

Transport::Transport(Transport&& other) noexcept
    : transport_(std::exchange(other.transport_, nullptr)), table_(other.table_), options_(std::move(other.options_)) {}

Transport::~Transport() {
  if (transport_ == nullptr) return;
  const CallMark mark(Call::destroy);
  transport_->ops->destroy(transport_);
}

bool Transport::set_option(const std::string& name, const std::string& text) {
  if (table_.find(name) < 0) return false;
  std::vector<OptionSetting> settings = base_settings();
  settings.push_back(setting_of(name, text));
  std::vector<std::string> problems;
  OptionValues changed = OptionValues::resolve(table_, settings, problems);
  if (problems.empty()) options_ = std::move(changed);
  return problems.empty();
}

ferry_status Transport::connect(const std::string& address, std::int64_t deadline, Connection& out, ferry_error* error,
                                std::int64_t cancel_handle) {
  ferry_connection* connection = nullptr;
  ferry_status status = FERRY_OK;
  {
    const ferry_values values = options_.abi();
    const ferry_cancel cancel{sizeof(ferry_cancel), 0, cancel_handle};
    const CallMark mark(Call::connect);
    status = transport_->ops->connect(transport_, address.c_str(), &values, deadline,
                                      cancel_handle == -1 ? nullptr : &cancel, &connection, error);
  }
  if (status == FERRY_OK)
    out = Connection(connection);
  else
    require(connection == nullptr, "connect failed with ", result_text(status), " and touched its result");
  return status;
}

ferry_status Transport::listen(const std::string& address, Listener& out, ferry_error* error) {
  ferry_listener* listener = nullptr;
  ferry_status status = FERRY_OK;
  {
    const ferry_values values = options_.abi();
    const CallMark mark(Call::listen);
    status = transport_->ops->listen(transport_, address.c_str(), &values, &listener, error);
  }
  if (status == FERRY_OK)
    out = Listener(listener);
  else
    require(listener == nullptr, "listen failed with ", result_text(status), " and touched its result");
  return status;
}

ferry_status check_address(const ferry_plugin& plugin, const std::string& address, ferry_error* error) {
  const CallMark mark(Call::check_address);
  return plugin.check_address(address.c_str(), error);
}

std::string text_of(const ferry_error& error, ferry_status status, std::string_view call) {
  require(error.status == status, call, " returned ", result_text(status), " and its error says ",
          result_text(error.status));
  require(::strnlen(error.message, sizeof error.message) < sizeof error.message, call, "'s message has no end");
  require(error.message[0] != '\0', call, " failed with ", result_text(status), " and no message");
  return error.message;
}

}  // namespace ferry::conformance
