# The ring beside ck_ring, and the front that runs all suites. Not installed: they measure a build.
add_executable(bench_ring bench_ring.c machine.c)
target_include_directories(bench_ring PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(bench_ring PRIVATE tickbus PkgConfig::CK)

add_executable(tickbus-bench main.c)
target_link_libraries(tickbus-bench PRIVATE tickbus)
