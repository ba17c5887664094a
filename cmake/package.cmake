# What `cpack` in the build folder makes of what `cmake --install` installs: Debian packages of its three components: the program, the library, and what one builds on it. tools/release.sh makes and tries them; configure
# with -DCMAKE_INSTALL_PREFIX=/usr, so that the library lies where Debian wants it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The Ichor authors")
set(CPACK_PACKAGE_CONTACT "The Ichor authors <nobody@ichor.invalid>") # SECURITY.md says how to reach them
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package_files.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package_size.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# By the libraries that the files name; of a program for another processor it cannot be asked here.
if(NOT CMAKE_CROSSCOMPILING)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
set(architecture_aarch64 arm64)
set(architecture_x86_64 amd64)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${architecture_${CMAKE_SYSTEM_PROCESSOR}})

set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "detection of intracranial hemorrhage on head CT")
set(notice "For research and teaching only: it is no medical device.")
# OpenBLAS by name: the program wants its OpenMP build, whichever BLAS the system prefers (dependencies.cmake)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME ichor)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS libopenblas0-openmp)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
    "Learns from one label a study (this scan shows a hemorrhage) and says of
new scans which slice bleeds and where in it. Trains and predicts on
ordinary processors.

${notice}")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libichor${abi})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS libopenblas0-openmp)
file(WRITE ${PROJECT_BINARY_DIR}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/triggers)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
    "What the program ichor is made of, for other programs: volumes in,
probabilities and attention out.

${notice}")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libichor-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libichor${abi} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}), zlib1g-dev")
# what libichor.a wants, and the Python module
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_RECOMMENDS
    "libopenblas-openmp-dev, libnifti-dev, libinih-dev, libjansson-dev, libdeflate-dev, libdcmtk-dev, libopenjp2-7-dev, libseccomp-dev")
if(ICHOR_MPI)
  string(APPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_RECOMMENDS ", libopenmpi-dev")
endif()
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS python3-numpy)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "Headers, static library, files for CMake and pkg-config, a Python module
over the shared library, and the programs and exercises of Ichor's course.

${notice}")
include(CPack)
