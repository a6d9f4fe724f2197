# SQLite rows/s of the persister beside a bare prepared-statement loop.
add_executable(bench_persist bench_persist.c)
target_include_directories(bench_persist PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(bench_persist PRIVATE persist)
