#include <windows.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <utility>
#include <vector>

#include "ferry/error.hpp"
#include "ferry/sdk/unique_handle.hpp"
#include "probe_child.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& file, const std::string& detail) {
  const auto os_error = static_cast<int>(::GetLastError());
  throw Error(Status::no_resources, "probe plugin", file.string(), detail, os_error);
}

std::string describe_end(DWORD status) {
  if (status < 0xC0000000) return "ended the process with status " + std::to_string(status);
  std::array<char, 11> number;
  std::snprintf(number.data(), number.size(), "0x%08lX", status);
  return std::string("killed by exception ") + number.data();
}

/// What a child inherits, and nothing else that this process's threads may have made to be inherited.
class HandleList {
 public:
  explicit HandleList(std::vector<HANDLE> handles) : handles_(std::move(handles)) {
    std::erase(handles_, nullptr);
    SIZE_T size = 0;
    ::InitializeProcThreadAttributeList(nullptr, 1, 0, &size);
    memory_.resize(size);
    ::InitializeProcThreadAttributeList(get(), 1, 0, &size);
    ::UpdateProcThreadAttribute(get(), 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles_.data(),
                                handles_.size() * sizeof(HANDLE), nullptr, nullptr);
  }
  HandleList(const HandleList&) = delete;
  HandleList& operator=(const HandleList&) = delete;
  ~HandleList() { ::DeleteProcThreadAttributeList(get()); }

  LPPROC_THREAD_ATTRIBUTE_LIST get() noexcept { return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data()); }

 private:
  std::vector<HANDLE> handles_;  // the list points to them
  std::vector<std::byte> memory_;
};

/// A copy of its own that a child can inherit; none where there is nothing to copy.
plugin::UniqueHandle inheritable(HANDLE handle) {
  if (handle == INVALID_HANDLE_VALUE) return {};  // which would stand for this process
  HANDLE copy = nullptr;
  HANDLE const self = ::GetCurrentProcess();
  ::DuplicateHandle(self, handle, self, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS);
  return plugin::UniqueHandle(copy);
}

constexpr DWORD cut_again_ms = 50;  // a read that began just then would wait on

// In a job, which ends what it started as well. A pipe cannot be read with a deadline, so at the deadline the job is
// ended, and the read as well, because a process that another thread started may hold the pipe. The report is the
// child's standard output.
class Child final : public ProbeChild {
 public:
  Child(const fs::path& program, const fs::path& file, Deadline deadline)
      : job_(::CreateJobObjectW(nullptr, nullptr)), deadline_(deadline) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
    ::SetInformationJobObject(job_.get(), JobObjectExtendedLimitInformation, &limits, sizeof(limits));
    start(program, file);
    const DWORD timeout_ms = static_cast<DWORD>(std::max(deadline.timeout_ms(), 0));
    if (::CreateTimerQueueTimer(&timer_, nullptr, &Child::on_deadline, this, timeout_ms, cut_again_ms,
                                WT_EXECUTEDEFAULT) == FALSE) {
      fail(file, "cannot make a timer");
    }
  }
  ~Child() override {
    if (timer_ != nullptr) ::DeleteTimerQueueTimer(nullptr, timer_, INVALID_HANDLE_VALUE);  // waits for its callback
    kill_and_wait();
  }

  News read(std::string& text) override {
    std::array<char, 4096> block;
    DWORD count = 0;
    if (::ReadFile(report_.get(), block.data(), block.size(), &count, nullptr) != FALSE && count > 0) {
      text.append(block.data(), count);
      return News::some;
    }
    // Pairs with the release in on_deadline, which ended the read.
    return expired_.load(std::memory_order_acquire) ? News::timed_out : News::end;
  }

  std::string end() override {
    ::WaitForSingleObject(process_.get(), static_cast<DWORD>(std::max(deadline_.timeout_ms(), 0)));
    kill_and_wait();
    DWORD status = 0;
    ::GetExitCodeProcess(process_.get(), &status);
    return describe_end(status);
  }

 private:
  static void CALLBACK on_deadline(void* self, BOOLEAN) {
    auto& child = *static_cast<Child*>(self);
    child.expired_.store(true, std::memory_order_release);  // pairs with the load in read
    ::TerminateJobObject(child.job_.get(), 1);
    ::CancelIoEx(child.report_.get(), nullptr);
  }

  void start(const fs::path& program, const fs::path& file) {
    SECURITY_ATTRIBUTES inherited{sizeof(inherited), nullptr, TRUE};
    HANDLE read_end = nullptr, write_end = nullptr;
    if (::CreatePipe(&read_end, &write_end, &inherited, 0) == FALSE) fail(file, "cannot make a pipe");
    report_.reset(read_end);
    ::SetHandleInformation(read_end, HANDLE_FLAG_INHERIT, 0);
    const plugin::UniqueHandle report(write_end);  // not kept, or the report would never end
    const plugin::UniqueHandle nothing(::CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE,
                                                     FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited, OPEN_EXISTING, 0,
                                                     nullptr));
    const plugin::UniqueHandle errors = inheritable(::GetStdHandle(STD_ERROR_HANDLE));
    HandleList handles({nothing.get(), report.get(), errors.get()});
    STARTUPINFOEXW extended{};
    extended.lpAttributeList = handles.get();
    STARTUPINFOW& startup = extended.StartupInfo;
    startup.cb = sizeof(extended);
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = nothing.get();
    startup.hStdOutput = report.get();
    startup.hStdError = errors.get();
    // File names hold no quotes, and an absolute one does not end in a backslash.
    std::wstring command = L"\"" + program.wstring() + L"\" \"" + fs::absolute(file).wstring() + L"\"";
    PROCESS_INFORMATION process{};
    if (::CreateProcessW(program.c_str(), command.data(), nullptr, nullptr, TRUE,
                         CREATE_SUSPENDED | CREATE_NO_WINDOW | EXTENDED_STARTUPINFO_PRESENT, nullptr, nullptr, &startup,
                         &process) == FALSE) {
      fail(file, "cannot start " + program.string());
    }
    process_.reset(process.hProcess);
    const plugin::UniqueHandle thread(process.hThread);
    ::AssignProcessToJobObject(job_.get(), process_.get());
    ::ResumeThread(thread.get());
  }

  void kill_and_wait() noexcept {
    ::TerminateJobObject(job_.get(), 1);
    ::WaitForSingleObject(process_.get(), INFINITE);
  }

  plugin::UniqueHandle job_;
  plugin::UniqueHandle process_;
  plugin::UniqueHandle report_;
  HANDLE timer_ = nullptr;
  Deadline deadline_;
  std::atomic<bool> expired_{false};
};

}  // namespace

std::unique_ptr<ProbeChild> ProbeChild::start(const fs::path& program, const fs::path& file, Deadline deadline) {
  return std::make_unique<Child>(program, file, deadline);
}

}  // namespace ferry
