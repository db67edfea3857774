# What differs between systems stands in sibling files: x_posix.cpp (every POSIX system), x_linux.cpp, x_windows.cpp.
# ferry_platform_sources(list): takes the other systems' files out of it.
function(ferry_platform_sources list)
  set(sources ${${list}})
  if(WIN32)
    list(FILTER sources EXCLUDE REGEX "_(posix|linux)\\.cpp$")
  else()
    list(FILTER sources EXCLUDE REGEX "_windows\\.cpp$")
  endif()
  set(${list} ${sources} PARENT_SCOPE)
endfunction()
