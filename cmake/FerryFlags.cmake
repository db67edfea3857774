# Flags of every target of the project: warnings are errors with gcc and clang, sanitizers by FERRY_SANITIZE.
add_library(ferry_flags INTERFACE)
target_compile_options(ferry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wcast-align -Wconversion -Wsign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
  -Werror -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(FERRY_SANITIZE)
  target_compile_options(ferry_flags INTERFACE
    -fsanitize=${FERRY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # Two of clang's checks report what is not there. `function` cannot be assembled in a coroutine by clang 14, and compares
  # types by address, which differ between a program and the plugins it opens. `vptr` opens a pipe to look at an object, and
  # takes any object for a bad one in the tests that leave the process no descriptor.
  target_compile_options(ferry_flags INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function,vptr>)
  target_link_options(ferry_flags INTERFACE -fsanitize=${FERRY_SANITIZE})
endif()
# ferry_fuzzed(target): what fuzz targets search in. Coverage guides them; without it they are blind.
function(ferry_fuzzed target)
  if(FERRY_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()
# The command and the tests' programs go without optimisation under a sanitizer: it is what costs clang most of its time
# there (4.9 s against 1.8 s for a typical test), and all that has to be fast is the core and the plugins.
add_library(ferry_program_flags INTERFACE)
target_link_libraries(ferry_program_flags INTERFACE ferry_flags)
if(FERRY_SANITIZE)
  target_compile_options(ferry_program_flags INTERFACE -O0)
endif()
if(WIN32)
  # Windows 10 1709, which has TCP_KEEPIDLE and SIO_TCP_INFO.
  target_compile_definitions(ferry_flags INTERFACE _WIN32_WINNT=0x0A00 NTDDI_VERSION=0x0A000004 WIN32_LEAN_AND_MEAN NOMINMAX)
endif()
