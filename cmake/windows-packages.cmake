# Answers find_package for the header-only libraries, which have no architecture: scripts/windows-dependencies links their
# folders into an include directory of their own. Included before project() by the preset `windows`.
set(header_only Boost nlohmann_json spdlog CLI11 doctest)

macro(ferry_provide method package)
  if("${package}" IN_LIST header_only)
    set(${package}_FOUND TRUE)
    if(NOT TARGET ferry_header_only)
      add_library(ferry_header_only INTERFACE IMPORTED GLOBAL)
      target_include_directories(ferry_header_only INTERFACE ${CMAKE_SOURCE_DIR}/build/windows-dependencies/include)
      target_compile_definitions(ferry_header_only INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)
      foreach(target Boost::boost nlohmann_json::nlohmann_json spdlog::spdlog CLI11::CLI11 doctest::doctest)
        add_library(${target} INTERFACE IMPORTED GLOBAL)
        target_link_libraries(${target} INTERFACE ferry_header_only)
      endforeach()
    endif()
  endif()
endmacro()
cmake_language(SET_DEPENDENCY_PROVIDER ferry_provide SUPPORTED_METHODS FIND_PACKAGE)
