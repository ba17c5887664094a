# A room is one static library, ichor_<room>. Its CMakeLists.txt names its sources and the rooms it may call;
# tests/rooms.cmake checks that no #include points against these arrows.
add_library(ichor_flags INTERFACE)
target_include_directories(ichor_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(ichor_flags INTERFACE _GNU_SOURCE ICHOR_VERSION="${PROJECT_VERSION}")
target_compile_options(ichor_flags INTERFACE -Wall -Wextra -Werror -Wshadow -Wvla -Wundef -Wformat=2
                       $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
                       # clang turns this one on again behind a target's own -Wno-; gcc sees to it
                       $<$<C_COMPILER_ID:Clang>:SHELL:-Wno-missing-field-initializers>
                       -ffp-contract=off -fno-math-errno
                       # a release names no folder of whoever built it: same sources, same bytes
                       $<$<CONFIG:Release>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.>
                       $<$<CONFIG:Release>:-ffile-prefix-map=${PROJECT_BINARY_DIR}=build>)
target_link_libraries(ichor_flags INTERFACE m)
if(NOT ICHOR_SANITIZE AND NOT ICHOR_TSAN AND NOT ICHOR_FUZZ)
  include(cmake/hardening.cmake)
endif()
if(ICHOR_SANITIZE OR ICHOR_TSAN)
  target_compile_definitions(ichor_flags INTERFACE ICH_SANITIZED) # compilers say it each in its own way
endif()
if(ICHOR_SANITIZE)
  target_compile_options(ichor_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(ichor_flags INTERFACE -fsanitize=address,undefined)
endif()
if(ICHOR_TSAN)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "ICHOR_TSAN needs clang, whose OpenMP tells the sanitizer what waits for what: use --preset tsan")
  endif()
  target_compile_options(ichor_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(ichor_flags INTERFACE -fsanitize=thread)
endif()
if(ICHOR_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "ICHOR_FUZZ needs clang: configure with -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++")
  endif()
  # no-pass-failed: with sanitizers clang vectorizes less than the sources ask for
  target_compile_options(ichor_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                         -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-pass-failed)
  target_link_options(ichor_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
endif()

# ich_room(<room> SOURCES <files> CALLS <rooms> LINKS <libraries>)
function(ich_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;CALLS;LINKS" ${ARGN})
  add_library(ichor_${room} STATIC ${ROOM_SOURCES})
  list(TRANSFORM ROOM_CALLS PREPEND ichor_)
  target_link_libraries(ichor_${room} PUBLIC ichor_flags ${ROOM_CALLS} PRIVATE ${ROOM_LINKS})
  set_property(GLOBAL APPEND PROPERTY ICHOR_OBJECTS $<TARGET_OBJECTS:ichor_${room}>)
endfunction()

# ich_room_part(<room> <target> <files>): more of a room, compiled with flags of its own
function(ich_room_part room target)
  add_library(${target} OBJECT ${ARGN})
  target_link_libraries(${target} PRIVATE ichor_flags OpenMP::OpenMP_C)
  target_sources(ichor_${room} PRIVATE $<TARGET_OBJECTS:${target}>)
  set_property(GLOBAL APPEND PROPERTY ICHOR_OBJECTS $<TARGET_OBJECTS:${target}>)
endfunction()
