# Run by cpack between installing and packing: gives each Debian package the copyright and changelog that Debian wants,
# packs what Debian wants packed, and takes debug information out of the static library. Variables are cpack's.
set(here ${CMAKE_CURRENT_LIST_DIR})
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, if that is set

foreach(component PROGRAM LIBRARY DEVELOPMENT)
  string(TOLOWER ${component} folder)
  set(usr ${CPACK_TEMPORARY_DIRECTORY}/${folder}/usr)
  set(doc ${usr}/share/doc/${CPACK_DEBIAN_${component}_PACKAGE_NAME})
  file(REMOVE ${doc}/LICENSE ${doc}/CHANGELOG.md) # under their Debian names below
  configure_file(${here}/copyright ${doc}/copyright COPYONLY)
  configure_file(${here}/../CHANGELOG.md ${doc}/changelog COPYONLY)
  file(WRITE ${doc}/changelog.Debian
       "ichor (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
       "  * What is new is told in changelog.gz.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
  # what all may read, whatever the umask of whoever packs
  execute_process(COMMAND chmod -R u+rwX,go+rX,go-w ${CPACK_TEMPORARY_DIRECTORY}/${folder} COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB pages ${usr}/share/man/man1/*.1)
  file(GLOB archives ${usr}/lib/*/*.a)
  execute_process(COMMAND gzip -9n ${doc}/changelog ${doc}/changelog.Debian ${pages} COMMAND_ERROR_IS_FATAL ANY)
  if(archives)
    execute_process(COMMAND strip --strip-debug --enable-deterministic-archives ${archives} COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
