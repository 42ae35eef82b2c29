# espeak-ng's CMake clones libsonic from the network when it is not installed, and a gateway needs neither it nor
# libpcaudio (it never plays to a sound card). Presetting the answers keeps the build off the network.
set(SONIC_LIB "not-used" CACHE STRING "preset: neither searched for nor cloned" FORCE)
set(SONIC_INC "not-used" CACHE STRING "preset: neither searched for nor cloned" FORCE)
set(USE_LIBSONIC OFF CACHE BOOL "no speech-rate library" FORCE)
set(USE_LIBPCAUDIO OFF CACHE BOOL "no sound card" FORCE)
