# Cross build for 64-bit ARM: cmake -DCMAKE_TOOLCHAIN_FILE=deploy/aarch64.cmake -DTB_SYSROOT=<what deploy/sysroot made>.
# Tests run under qemu's user emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TB_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${TB_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${TB_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${TB_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${TB_SYSROOT}/usr/share/pkgconfig)
# The compiler brings its own C library of the same release; the sysroot adds the rest.
set(libraries ${TB_SYSROOT}/usr/lib/aarch64-linux-gnu:${TB_SYSROOT}/lib/aarch64-linux-gnu)
set(CMAKE_C_FLAGS_INIT "-idirafter ${TB_SYSROOT}/usr/include -idirafter ${TB_SYSROOT}/usr/include/aarch64-linux-gnu")
set(CMAKE_CXX_FLAGS_INIT "${CMAKE_C_FLAGS_INIT}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${libraries}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-rpath-link,${libraries}")
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-aarch64-static;-L;/usr/aarch64-linux-gnu;-E;LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib:${libraries})
