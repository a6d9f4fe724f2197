add_executable(candles_source service/candles_source.c)
set_target_properties(candles_source PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(candles_source PRIVATE tickbus)
tb_script_test(candles service/candles.py TIMEOUT 240 LABELS service)
