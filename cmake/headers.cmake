# The public headers as others include them: <ichor/ROOM/FILE.h>. Among themselves they include by place, not by a
# search path that a program's own folder `data/` could win.
# Run: cmake -DFROM=<project> -DTO=<folder> -DFILES=<list> -P headers.cmake
file(REMOVE_RECURSE ${TO})
foreach(file ${FILES})
  file(READ ${FROM}/${file} text)
  string(REGEX REPLACE "(#include \")([a-z]+/)" "\\1../\\2" text "${text}")
  file(WRITE ${TO}/${file} "${text}")
endforeach()
