#include <windows.h>
// after windows.h
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <mutex>
#include <system_error>

#include "ferry/deadline.hpp"
#include "process.hpp"

namespace ferry::conformance {
namespace {

// Of each process that leads a group: everything that it starts belongs to the job and ends with it.
std::mutex jobs_mutex;
std::map<int, HANDLE> jobs;

HANDLE handle_of(int process) noexcept { return reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(process)); }

/// As CommandLineToArgvW and the C run-time library take it apart again.
std::wstring quoted(const std::wstring& argument) {
  std::wstring out = L"\"";
  std::size_t backslashes = 0;
  for (const wchar_t letter : argument) {
    if (letter == L'"') out.append(backslashes + 1, L'\\');
    backslashes = letter == L'\\' ? backslashes + 1 : 0;
    out += letter;
  }
  return out.append(backslashes, L'\\') + L"\"";
}

/// A copy that the child inherits; null for a descriptor below 0.
class Inherited {
 public:
  Inherited(int descriptor, HANDLE otherwise) {
    HANDLE const own = descriptor >= 0 ? reinterpret_cast<HANDLE>(::_get_osfhandle(descriptor)) : otherwise;
    HANDLE const self = ::GetCurrentProcess();
    ::DuplicateHandle(self, own, self, &handle_, 0, TRUE, DUPLICATE_SAME_ACCESS);
  }
  Inherited(const Inherited&) = delete;
  Inherited& operator=(const Inherited&) = delete;
  ~Inherited() {
    if (handle_ != nullptr) ::CloseHandle(handle_);
  }
  HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_ = nullptr;
};

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(), what);
}

void lead_group(const PROCESS_INFORMATION& process) {
  HANDLE const job = ::CreateJobObjectW(nullptr, nullptr);
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  limits.BasicLimitInformation.LimitFlags =
      JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
  ::SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof(limits));
  ::AssignProcessToJobObject(job, process.hProcess);
  const std::lock_guard lock(jobs_mutex);
  jobs[static_cast<int>(reinterpret_cast<std::intptr_t>(process.hProcess))] = job;
}

}  // namespace

// The runner holds us in a job that ends with it.
void be_a_test_process() noexcept { ::SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX); }

std::string own_program() {
  std::array<wchar_t, 1u << 15> file;  // the longest path there is
  return std::filesystem::path(std::wstring(file.data(), ::GetModuleFileNameW(nullptr, file.data(), file.size())))
      .string();
}

int start_process(const Spawn& spawn) {
  std::wstring command;
  for (const std::string& argument : spawn.arguments) {
    command += (command.empty() ? L"" : L" ") + quoted(std::filesystem::path(argument).wstring());
  }
  HANDLE const nothing =
      ::CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING, 0, nullptr);
  const Inherited input(spawn.standard_input, nothing);
  const Inherited output(spawn.standard_output, ::GetStdHandle(STD_OUTPUT_HANDLE));
  const Inherited error(spawn.standard_error, ::GetStdHandle(STD_ERROR_HANDLE));
  ::CloseHandle(nothing);
  STARTUPINFOW startup{};
  startup.cb = sizeof(startup);
  startup.dwFlags = STARTF_USESTDHANDLES;
  startup.hStdInput = input.get();
  startup.hStdOutput = output.get();
  startup.hStdError = error.get();
  PROCESS_INFORMATION process{};
  const auto start_it = [&] {
    return ::CreateProcessW(nullptr, command.data(), nullptr, nullptr, TRUE, CREATE_SUSPENDED | CREATE_NO_WINDOW,
                            nullptr, nullptr, &startup, &process) != FALSE;
  };
  // On a busy machine Wine 8 says ERROR_INTERNAL_ERROR now and then, and starts the process when asked again.
  if (!start_it() && (::GetLastError() != ERROR_INTERNAL_ERROR || !start_it())) fail("start " + spawn.arguments[0]);
  if (spawn.own_group) lead_group(process);
  ::ResumeThread(process.hThread);
  ::CloseHandle(process.hThread);
  return static_cast<int>(reinterpret_cast<std::intptr_t>(process.hProcess));
}

int open_output(const std::filesystem::path& file) {
  return ::_wopen(file.c_str(), _O_WRONLY | _O_CREAT | _O_APPEND | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}

void close_output(int descriptor) noexcept { ::_close(descriptor); }

Ending await_group(int pid, std::int64_t deadline_ns) {
  Ending ending;
  HANDLE const process = handle_of(pid);
  const auto left_ms = [&] {
    const std::int32_t ms = Deadline::at_ns(deadline_ns).timeout_ms();
    return ms < 0 ? INFINITE : static_cast<DWORD>(ms);
  };
  ending.timed_out = ::WaitForSingleObject(process, left_ms()) == WAIT_TIMEOUT;
  HANDLE job = nullptr;
  {
    const std::lock_guard lock(jobs_mutex);
    if (const auto found = jobs.find(pid); found != jobs.end()) {
      job = found->second;
      jobs.erase(found);
    }
  }
  if (ending.timed_out) ::TerminateProcess(process, 1);
  if (job != nullptr) {
    ::TerminateJobObject(job, 1);
    ::CloseHandle(job);
  }
  ::WaitForSingleObject(process, INFINITE);
  DWORD status = 0;
  ::GetExitCodeProcess(process, &status);
  if (status >= 0xC0000000) {
    ending.signal = static_cast<int>(status);
  } else {
    ending.exit_code = static_cast<int>(status);
  }
  ::CloseHandle(process);
  return ending;
}

std::string signal_name(int number) {
  std::array<char, 11> text;
  std::snprintf(text.data(), text.size(), "0x%08X", static_cast<unsigned>(number));
  return std::string("exception ") + text.data();
}

}  // namespace ferry::conformance
