add_executable(bench_numbers bench_numbers.c ../producers/synth/synth.c)
target_include_directories(bench_numbers PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(bench_numbers PRIVATE tickbus)
