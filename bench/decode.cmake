# ns per Binance frame: decode, sync and emit, beside simdjson alone.
add_executable(bench_decode bench_decode.c bench_decode_bare.cpp)
target_include_directories(bench_decode PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(bench_decode PRIVATE tb_adapter tb_capture tickbus simdjson::simdjson)
