# Run by cpack once the packages are there: packs each again with another Installed-Size. CPack's counts folders as long as
# the file system happens to make them, so that one source would give several packages. This one is dpkg-gencontrol's: a
# file's size rounded up to KiB, and one for anything else. Variables are cpack's.
foreach(package ${CPACK_PACKAGE_FILES})
  set(tree ${package}.tree)
  execute_process(COMMAND dpkg-deb --raw-extract ${package} ${tree} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND chmod 755 ${tree} ${tree}/DEBIAN COMMAND_ERROR_IS_FATAL ANY) # whatever the umask
  file(GLOB_RECURSE entries LIST_DIRECTORIES true RELATIVE ${tree} ${tree}/*)
  list(FILTER entries EXCLUDE REGEX "^DEBIAN")
  set(size 0)
  foreach(entry ${entries})
    set(kib 1)
    if(NOT IS_DIRECTORY ${tree}/${entry} AND NOT IS_SYMLINK ${tree}/${entry})
      file(SIZE ${tree}/${entry} bytes)
      math(EXPR kib "(${bytes} + 1023) / 1024")
    endif()
    math(EXPR size "${size} + ${kib}")
  endforeach()
  file(READ ${tree}/DEBIAN/control control)
  string(REGEX REPLACE "\nInstalled-Size: [0-9]+\n" "\nInstalled-Size: ${size}\n" control "${control}")
  file(WRITE ${tree}/DEBIAN/control "${control}")
  execute_process(COMMAND dpkg-deb --root-owner-group -Zxz --threads-max=1 --build ${tree} ${package}
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE ${tree})
endforeach()
