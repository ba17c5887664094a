# Everything Ichor links, found in one place; installed, too, for programs that link libichor.a (IchorConfig.cmake).
# Debian 12's package names are in the messages.
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)

# The openmp build of OpenBLAS by its own path: the libblas that the system points to may have one thread, or
# threads of its own that fight with ours. The thread sanitizer knows clang's OpenMP only, and that build brings gcc's.
set(openblas openblas-openmp)
if(ICHOR_TSAN)
  set(openblas openblas-serial)
endif()
find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES ${openblas} NO_CMAKE_ENVIRONMENT_PATH)
find_path(OPENBLAS_INCLUDE cblas.h PATH_SUFFIXES ${openblas} ${CMAKE_LIBRARY_ARCHITECTURE}/${openblas})
# niftiio's own CMake package is broken in Debian 12.
find_library(NIFTI_LIBRARY nifti2)
find_library(ZNZ_LIBRARY znz)
find_path(NIFTI_INCLUDE nifti2_io.h PATH_SUFFIXES nifti)
find_library(INIH_LIBRARY inih)
find_path(INIH_INCLUDE ini.h)
find_library(JANSSON_LIBRARY jansson)
find_path(JANSSON_INCLUDE jansson.h)
find_path(STB_INCLUDE stb_image_write.h PATH_SUFFIXES stb)
find_library(DEFLATE_LIBRARY deflate)
find_path(DEFLATE_INCLUDE libdeflate.h)
# DCMTK's own CMake package pulls in all of it, with what its network and printing parts need.
find_library(DCMDATA_LIBRARY dcmdata)
find_library(DCMJPEG_LIBRARY dcmjpeg)
find_library(DCMJPLS_LIBRARY dcmjpls)
find_library(OFLOG_LIBRARY oflog)
find_library(OFSTD_LIBRARY ofstd)
find_path(DCMTK_INCLUDE dcmtk/dcmdata/dctk.h)
find_library(OPENJPEG_LIBRARY openjp2)
find_path(OPENJPEG_INCLUDE openjpeg.h PATH_SUFFIXES openjpeg-2.5 openjpeg-2.4)
# Optional: the filter of data/sandbox.c; without it decoders have limits alone (libseccomp-dev).
find_library(SECCOMP_LIBRARY seccomp)
find_path(SECCOMP_INCLUDE seccomp.h)
set(ICHOR_SECCOMP)
if(SECCOMP_LIBRARY AND SECCOMP_INCLUDE)
  set(ICHOR_SECCOMP ${SECCOMP_LIBRARY})
endif()

# Several processes on one job; where it is there, unless told otherwise.
if(CMAKE_CROSSCOMPILING)
  set(MPI_C_FOUND FALSE) # what would be found is this machine's
else()
  find_package(MPI QUIET COMPONENTS C)
endif()
if(NOT DEFINED ICHOR_MPI)
  set(ICHOR_MPI ${MPI_C_FOUND})
endif()
if(ICHOR_MPI AND NOT MPI_C_FOUND)
  message(FATAL_ERROR "ICHOR_MPI=ON, but MPI was not found: install libopenmpi-dev")
endif()

foreach(pair "OPENBLAS_LIBRARY:lib${openblas}-dev" "OPENBLAS_INCLUDE:lib${openblas}-dev"
             "NIFTI_LIBRARY:libnifti-dev" "ZNZ_LIBRARY:libnifti-dev" "NIFTI_INCLUDE:libnifti-dev"
             "INIH_LIBRARY:libinih-dev" "INIH_INCLUDE:libinih-dev" "JANSSON_LIBRARY:libjansson-dev"
             "JANSSON_INCLUDE:libjansson-dev" "STB_INCLUDE:libstb-dev"
             "DEFLATE_LIBRARY:libdeflate-dev" "DEFLATE_INCLUDE:libdeflate-dev" "DCMDATA_LIBRARY:libdcmtk-dev"
             "DCMJPEG_LIBRARY:libdcmtk-dev" "DCMJPLS_LIBRARY:libdcmtk-dev" "OFLOG_LIBRARY:libdcmtk-dev"
             "OFSTD_LIBRARY:libdcmtk-dev" "DCMTK_INCLUDE:libdcmtk-dev" "OPENJPEG_LIBRARY:libopenjp2-7-dev"
             "OPENJPEG_INCLUDE:libopenjp2-7-dev")
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 variable)
  list(GET pair 1 package)
  if(NOT ${variable})
    message(FATAL_ERROR "${variable} was not found: install ${package}")
  endif()
endforeach()

# What libichor.a leaves for its user to link, beside OpenMP, zlib, C++'s library and libm.
set(ICHOR_LIBRARIES ${OPENBLAS_LIBRARY} ${NIFTI_LIBRARY} ${ZNZ_LIBRARY} ${INIH_LIBRARY} ${JANSSON_LIBRARY}
                    ${DEFLATE_LIBRARY} ${DCMJPEG_LIBRARY} ${DCMJPLS_LIBRARY} ${DCMDATA_LIBRARY} ${OFLOG_LIBRARY}
                    ${OFSTD_LIBRARY} ${OPENJPEG_LIBRARY} ${ICHOR_SECCOMP})
if(ICHOR_MPI)
  list(APPEND ICHOR_LIBRARIES ${MPI_C_LIBRARIES})
endif()
