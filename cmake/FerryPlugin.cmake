# ferry_add_plugin(name source…): one transport plugin as a loadable module in lib/ferry/.
# A plugin sees abi.h, plugin.hpp and sdk/ of the core and nothing else: its include directory holds links to just those.
set(FERRY_PLUGIN_DIR ${PROJECT_BINARY_DIR}/lib/ferry)
set(FERRY_SDK_INCLUDE ${PROJECT_BINARY_DIR}/sdk-include)
file(MAKE_DIRECTORY ${FERRY_SDK_INCLUDE}/ferry)
foreach(entry abi.h plugin.hpp sdk)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/core/include/ferry/${entry} ${FERRY_SDK_INCLUDE}/ferry/${entry} SYMBOLIC)
endforeach()
set(FERRY_EXPORTS ${PROJECT_SOURCE_DIR}/cmake/plugin.map)

function(ferry_add_plugin name)
  add_library(plugin_${name} MODULE ${ARGN})
  set_target_properties(plugin_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${FERRY_PLUGIN_DIR}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${FERRY_EXPORTS})
  target_include_directories(plugin_${name} PRIVATE ${FERRY_SDK_INCLUDE})
  target_link_libraries(plugin_${name} PRIVATE ferry_flags ferry::plugin_support)
  ferry_fuzzed(plugin_${name})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(plugin_${name} PRIVATE -fno-gnu-unique)
  endif()
  if(WIN32) # a DLL exports what FERRY_PLUGIN_EXPORT says and nothing else, and leaves nothing undefined
    return()
  endif()
  target_link_options(plugin_${name} PRIVATE -Wl,--version-script=${FERRY_EXPORTS})
  if(NOT FERRY_SANITIZE) # a sanitizer's runtime stays in the program, so its symbols are undefined here
    target_link_options(plugin_${name} PRIVATE -Wl,-z,defs)
  endif()
endfunction()
