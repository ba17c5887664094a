# Flags that turn what a bug would let in into a clean end of the process (docs/hardening.md). Sanitizers see more and
# go their own way, so not with them. tests/install/test_hardened.sh reads them out of what was built.
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported()

add_library(ichor_hardening INTERFACE)
target_link_libraries(ichor_flags INTERFACE ichor_hardening)
target_compile_options(ichor_hardening INTERFACE -fstack-protector-strong
                       $<$<COMPILE_LANGUAGE:CXX>:-D_GLIBCXX_ASSERTIONS>) # DCMTK's neighbour is held to its vectors
target_link_options(ichor_hardening INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
# x86's shadow stack and landing pads are arm64's branch protection.
set(landing)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(landing -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(landing -mbranch-protection=standard)
endif()
foreach(flag -fstack-clash-protection ${landing})
  string(MAKE_C_IDENTIFIER "ICHOR_HAS${flag}" has)
  check_c_compiler_flag(${flag} ${has})
  if(${has})
    target_compile_options(ichor_hardening INTERFACE ${flag})
  endif()
endforeach()
# Level 3 checks sizes known only at run time, too. It wants an optimizer and, of gcc, version 12.
set(level 3)
if(CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_C_COMPILER_VERSION VERSION_LESS 12)
  set(level 2)
endif()
target_compile_options(ichor_hardening INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=${level}>)
