# `cmake --install`: the command, the plugins, and what host applications (ferry::core) and plugin authors
# (ferry::plugin_support) build against through find_package(ferry).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(FERRY_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/ferry)

install(TARGETS ferry)
install(TARGETS ferry_probe RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/ferry) # opens suspect plugins apart from everything else
install(DIRECTORY ${PROJECT_SOURCE_DIR}/core/include/ferry TYPE INCLUDE)
install(TARGETS ferry_core ferry_plugin_support EXPORT ferryTargets)
if(TARGET ferry_c)
  install(TARGETS ferry_c EXPORT ferryTargets)
endif()
get_property(plugins GLOBAL PROPERTY FERRY_PLUGINS)
install(TARGETS ${plugins} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/ferry)

install(EXPORT ferryTargets NAMESPACE ferry:: DESTINATION ${FERRY_CMAKE_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ferryConfig.cmake.in ${PROJECT_BINARY_DIR}/ferryConfig.cmake
  INSTALL_DESTINATION ${FERRY_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ferryConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ferryConfig.cmake ${PROJECT_BINARY_DIR}/ferryConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/plugin.map DESTINATION ${FERRY_CMAKE_DIR})
