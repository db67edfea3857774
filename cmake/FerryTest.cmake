# Labels: a test that is `concurrent` is about threads, and runs under TSan as well; concurrent_tests builds what those need
# and no more. A test that is `no-sanitizer` measures what a sanitizer changes, or shows nothing more under one.
add_custom_target(concurrent_tests)

# ferry_add_test(name source… [LIBRARIES lib…] [LABELS label…] [TIMEOUT seconds]): a doctest program, run by ctest.
function(ferry_add_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ferry_program_flags ferry_test_main ${arg_LIBRARIES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
  if("concurrent" IN_LIST arg_LABELS)
    add_dependencies(concurrent_tests ${name})
  endif()
endfunction()

# Debian's python3, which has the modules of scripts/packages-test. It may be missing where only a part is built; then the
# tests that need it fail for all to see.
find_program(FERRY_PYTHON NAMES python3 HINTS /usr/bin)
if(NOT FERRY_PYTHON)
  set(FERRY_PYTHON python3)
endif()

# ferry_add_script_test(script seconds): a Python script of the current folder that runs the built `ferry`, which
# FERRY_BIN names. It shares the modules of the folder above. Exit code 77 means skipped.
function(ferry_add_script_test script timeout)
  get_filename_component(name ${script} NAME_WE)
  get_filename_component(shared ${CMAKE_CURRENT_SOURCE_DIR} DIRECTORY)
  add_test(NAME ${name} COMMAND ${FERRY_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/${script} -v)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS integration SKIP_RETURN_CODE 77
    ENVIRONMENT "FERRY_BIN=$<TARGET_FILE:ferry>;PYTHONPATH=${shared};FERRY_SANITIZE=${FERRY_SANITIZE}")
endfunction()
