# Flags of every target of the project: warnings are errors with gcc and clang, sanitizers by FERRY_SANITIZE.
add_library(ferry_flags INTERFACE)
target_compile_options(ferry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wcast-align -Wconversion -Wsign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
  -Werror -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(FERRY_SANITIZE)
  target_compile_options(ferry_flags INTERFACE
    -fsanitize=${FERRY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # clang 14 cannot assemble its check of indirect calls in a coroutine, and compares types by address, which
  # differ between a program and the plugins it opens.
  target_compile_options(ferry_flags INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function>)
  target_link_options(ferry_flags INTERFACE -fsanitize=${FERRY_SANITIZE})
endif()
