# The rooms as one library for other programs: libichor.so and libichor.a, of the same objects that the program is
# made of; their headers as <ichor/ROOM/FILE.h>; and what CMake and pkg-config want to know of them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# -- headers: what is next to the sources, without what only its own room may include ------------------------------
set(rooms tensor layers optim data infer audit train)
list(TRANSFORM rooms APPEND "/*.h" OUTPUT_VARIABLE patterns)
list(TRANSFORM patterns PREPEND ${PROJECT_SOURCE_DIR}/)
file(GLOB headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${patterns})
list(FILTER headers EXCLUDE REGEX "_internal\\.h$|^tensor/(conv_|vector)|^layers/(call|affine|softmax)\\.h$|^data/import_")
list(TRANSFORM headers PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE header_paths)
set(header_stamp ${PROJECT_BINARY_DIR}/headers.stamp)
add_custom_command(
  OUTPUT ${header_stamp}
  COMMAND ${CMAKE_COMMAND} -DFROM=${PROJECT_SOURCE_DIR} -DTO=${PROJECT_BINARY_DIR}/include/ichor "-DFILES=${headers}"
          -P ${PROJECT_SOURCE_DIR}/cmake/headers.cmake
  COMMAND ${CMAKE_COMMAND} -E touch ${header_stamp}
  DEPENDS ${header_paths} ${PROJECT_SOURCE_DIR}/cmake/headers.cmake VERBATIM)
add_custom_target(ichor_headers ALL DEPENDS ${header_stamp})

# -- libraries -----------------------------------------------------------------------------------------------------
get_property(objects GLOBAL PROPERTY ICHOR_OBJECTS)
set(abi ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}) # before 1.0 a minor version may break programs
configure_file(cmake/libichor.map.in libichor.map)
add_library(ichor_shared SHARED ${objects})
add_library(ichor_static STATIC ${objects})
target_link_libraries(ichor_shared PRIVATE ichor_flags ${ICHOR_LIBRARIES} OpenMP::OpenMP_C ZLIB::ZLIB)
# -Bsymbolic-functions: calls inside the library stay inside, and are as fast as in the program.
target_link_options(ichor_shared PRIVATE -Wl,--version-script=${PROJECT_BINARY_DIR}/libichor.map
                                         -Wl,-Bsymbolic-functions -Wl,--no-undefined)
set_target_properties(ichor_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${abi} EXPORT_NAME ichor
                                              LINK_DEPENDS ${PROJECT_BINARY_DIR}/libichor.map)
foreach(library ichor_shared ichor_static)
  add_dependencies(${library} ichor_headers)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME ichor LINKER_LANGUAGE CXX)
  target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
                                                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${library} INTERFACE c_std_17)
endforeach()
add_library(Ichor::ichor ALIAS ichor_shared)

# -- installed -----------------------------------------------------------------------------------------------------
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Ichor)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development) # what is not said to be of program or library
install(DIRECTORY ${PROJECT_BINARY_DIR}/include/ichor DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS ichor_shared EXPORT IchorTargets LIBRARY COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS ichor_static EXPORT IchorStaticTargets)
install(EXPORT IchorTargets NAMESPACE Ichor:: DESTINATION ${package_dir})
install(EXPORT IchorStaticTargets NAMESPACE Ichor:: DESTINATION ${package_dir})
configure_package_config_file(cmake/IchorConfig.cmake.in IchorConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(IchorConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/IchorConfig.cmake ${PROJECT_BINARY_DIR}/IchorConfigVersion.cmake
        DESTINATION ${package_dir})
install(FILES cmake/dependencies.cmake RENAME IchorDependencies.cmake DESTINATION ${package_dir})

# pkg-config's prefix is where the file lies, so that `cmake --install --prefix` may choose another.
file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" pc_prefix ${pc_prefix})
set(pc_private)
foreach(library ${ICHOR_LIBRARIES})
  get_filename_component(name ${library} NAME_WE)
  string(REGEX REPLACE "^lib" "-l" name ${name})
  string(APPEND pc_private " ${name}")
endforeach()
get_filename_component(pc_openblas ${OPENBLAS_LIBRARY} DIRECTORY)
configure_file(cmake/ichor.pc.in ichor.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ichor.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ichor COMPONENT program)
install(FILES python/ichor.py DESTINATION ${CMAKE_INSTALL_DATADIR}/ichor/python)

# -- manual pages, out of the program's own help; completion, which asks it ----------------------------------------
set(manual ${PROJECT_BINARY_DIR}/man1)
add_custom_command(
  OUTPUT ${manual}/ichor.1
  COMMAND bash ${PROJECT_SOURCE_DIR}/tools/manual.sh ${manual} ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:ichor>
  DEPENDS ichor ${PROJECT_SOURCE_DIR}/tools/manual.sh VERBATIM)
add_custom_target(ichor_manual ALL DEPENDS ${manual}/ichor.1)
install(DIRECTORY ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
install(FILES tools/completion.bash RENAME ichor COMPONENT program
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DATADIR}/ichor PATTERN .clang-format EXCLUDE) # the course
