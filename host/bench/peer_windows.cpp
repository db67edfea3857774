#include <windows.h>

#include "bench/peer.hpp"
// after windows.h
#include <fcntl.h>
#include <io.h>

#include <array>
#include <filesystem>
#include <system_error>

#include "bench/own_certificate.hpp"
#include "bench/raw_side.hpp"
#include "bench/ring_side.hpp"
#include "ferry/error.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::bench {
namespace {

[[noreturn]] void fail(const char* call) {
  throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(),
                          std::string("bench peer: ") + call);
}

bool read_from(HANDLE pipe, void* data, std::size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    DWORD got = 0;
    if (::ReadFile(pipe, at, static_cast<DWORD>(size), &got, nullptr) == FALSE || got == 0) return false;
    at += got;
    size -= got;
  }
  return true;
}

/// A synchronous pipe takes all that it is given.
void write_to(HANDLE pipe, const void* data, std::size_t size) {
  DWORD put = 0;
  if (::WriteFile(pipe, data, static_cast<DWORD>(size), &put, nullptr) == FALSE) fail("WriteFile");
}

/// The peer's standard input and output are its control; what it prints goes to standard error.
class DriverControl final : public Control {
 public:
  DriverControl() : in_(::GetStdHandle(STD_INPUT_HANDLE)) {
    HANDLE const self = ::GetCurrentProcess();
    HANDLE out = nullptr;
    if (::DuplicateHandle(self, ::GetStdHandle(STD_OUTPUT_HANDLE), self, &out, 0, FALSE, DUPLICATE_SAME_ACCESS) ==
        FALSE) {
      fail("DuplicateHandle");
    }
    out_.reset(out);
    ::_dup2(2, 1);
  }
  bool read_all(void* data, std::size_t size) override { return read_from(in_, data, size); }
  void write_all(const void* data, std::size_t size) override { write_to(out_.get(), data, size); }

 private:
  HANDLE in_;
  plugin::UniqueHandle out_;
};

struct Pipe {
  plugin::UniqueHandle read_end, write_end;
  Pipe() {
    SECURITY_ATTRIBUTES inherited{sizeof(inherited), nullptr, TRUE};
    HANDLE reading = nullptr, writing = nullptr;
    if (::CreatePipe(&reading, &writing, &inherited, 0) == FALSE) fail("CreatePipe");
    read_end.reset(reading);
    write_end.reset(writing);
  }
};

class Process final : public PeerProcess {
 public:
  explicit Process(const std::vector<std::string>& arguments) {
    Pipe commands, answers;
    ::SetHandleInformation(commands.write_end.get(), HANDLE_FLAG_INHERIT, 0);
    ::SetHandleInformation(answers.read_end.get(), HANDLE_FLAG_INHERIT, 0);
    std::array<wchar_t, 1u << 15> program;
    ::GetModuleFileNameW(nullptr, program.data(), program.size());
    std::wstring command = L"ferry";
    for (const std::string& argument : arguments) {
      // Descriptors and paths hold no quotes, and none of them ends in a backslash.
      command += L" \"" + std::filesystem::path(argument).wstring() + L"\"";
    }
    STARTUPINFOW startup{};
    startup.cb = sizeof(startup);
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = commands.read_end.get();
    startup.hStdOutput = answers.write_end.get();
    startup.hStdError = ::GetStdHandle(STD_ERROR_HANDLE);
    PROCESS_INFORMATION process{};
    if (::CreateProcessW(program.data(), command.data(), nullptr, nullptr, TRUE, CREATE_NO_WINDOW, nullptr, nullptr,
                         &startup, &process) == FALSE) {
      fail("CreateProcess");
    }
    process_.reset(process.hProcess);
    ::CloseHandle(process.hThread);
    in_ = std::move(answers.read_end);
    out_ = std::move(commands.write_end);
  }
  ~Process() override {
    out_.reset();
    ::WaitForSingleObject(process_.get(), INFINITE);
  }
  bool read_all(void* data, std::size_t size) override { return read_from(in_.get(), data, size); }
  void write_all(const void* data, std::size_t size) override { write_to(out_.get(), data, size); }
  void kill() noexcept override { ::TerminateProcess(process_.get(), 1); }

 private:
  plugin::UniqueHandle process_, in_, out_;
};

[[noreturn]] void no_baseline() {
  throw Error(Status::unsupported, "measure", "baseline", "there is no hand-written counterpart on Windows");
}

}  // namespace

std::unique_ptr<Control> control_of_driver() { return std::make_unique<DriverControl>(); }

std::unique_ptr<PeerProcess> start_peer(const std::vector<std::string>& arguments) {
  return std::make_unique<Process>(arguments);
}

std::int64_t Side::cpu_ns() const {
  FILETIME made{}, ended{}, kernel{}, user{};
  ::GetProcessTimes(::GetCurrentProcess(), &made, &ended, &kernel, &user);
  const auto ns = [](const FILETIME& time) {
    return static_cast<std::int64_t>((std::uint64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime) * 100);
  };
  return ns(kernel) + ns(user);
}

std::vector<int> usable_processors() {
  DWORD_PTR own = 0, all = 0;
  ::GetProcessAffinityMask(::GetCurrentProcess(), &own, &all);
  std::vector<int> found;
  for (int cpu = 0; cpu < 64; ++cpu) {
    if ((own >> cpu & 1) != 0) found.push_back(cpu);
  }
  return found;
}

void pin_to(int cpu) {
  if (cpu < 0) return;
  if (cpu >= 64 || ::SetProcessAffinityMask(::GetCurrentProcess(), DWORD_PTR{1} << cpu) == FALSE) {
    throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(),
                            "pin to processor " + std::to_string(cpu));
  }
}

std::vector<std::string> raw_sides(const std::string&, Measure, bool) { return {}; }

bool is_bound(const std::string&) { return false; }

std::unique_ptr<BaselineListener> baseline_listen(const std::string&, const std::string&) { no_baseline(); }

std::unique_ptr<Side> baseline_connect(const std::string&, const std::string&, bool) { no_baseline(); }

// None of the transports that Windows has takes certificates.
std::vector<EndpointOption> own_certificate(const Plugin&, const std::filesystem::path&) { return {}; }

}  // namespace ferry::bench
