# ferry_add_fuzz(name SOURCES source… [LIBRARIES lib…]): a fuzz target with its corpus in tests/fuzz/corpus/<name>/.
# Every build makes it with the replay driver, and ctest runs it over its corpus; with FERRY_FUZZ=ON and
# FERRY_SANITIZE=address,undefined (clang) it is a libFuzzer program as well, fuzz/<name>; scripts/fuzz runs them all, each with
# tests/fuzz/<name without fuzz_>.dict where there is one. A bug's input is committed to the corpus beside its fix.
if(FERRY_FUZZ AND NOT FERRY_SANITIZE)
  message(FATAL_ERROR "FERRY_FUZZ finds bugs through sanitizers: add -DFERRY_SANITIZE=address,undefined")
endif()

function(ferry_add_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name}_replay ${arg_SOURCES})
  target_link_libraries(${name}_replay PRIVATE ferry_program_flags fuzz_replay ${arg_LIBRARIES})
  set_target_properties(${name}_replay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name}_replay COMMAND ${name}_replay ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(${name}_replay PROPERTIES TIMEOUT 60 LABELS fuzz)
  if(FERRY_FUZZ)
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE ferry_flags ${arg_LIBRARIES})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  endif()
endfunction()
