# From Debian on x86-64 to arm64: cross compiler of Debian, libraries of a folder that tools/arm64.sh fills, and qemu
# to run what was built. tools/arm64.sh does all of it; by hand:
#   cmake -S . -B build-arm64/release -DCMAKE_TOOLCHAIN_FILE=cmake/arm64.cmake -DICHOR_SYSROOT=build-arm64/sysroot
# A folder of its own, because DCMTK's and NIfTI's packages of two processors cannot be installed side by side.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
get_filename_component(ICHOR_SYSROOT "${ICHOR_SYSROOT}" ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
if(NOT EXISTS ${ICHOR_SYSROOT}/usr/lib/aarch64-linux-gnu)
  message(FATAL_ERROR "${ICHOR_SYSROOT} holds no arm64 libraries: tools/arm64.sh makes such a folder; name it with -DICHOR_SYSROOT")
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ICHOR_SYSROOT) # absolute by now: CMake tries compilers elsewhere
set(CMAKE_SYSROOT ${ICHOR_SYSROOT})
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
foreach(kind LIBRARY INCLUDE PACKAGE)
  set(CMAKE_FIND_ROOT_PATH_MODE_${kind} ONLY)
endforeach()
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${ICHOR_SYSROOT})
