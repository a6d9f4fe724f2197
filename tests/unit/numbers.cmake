tb_test(decimal SOURCES unit/decimal.c)
tb_test(book SOURCES unit/book.c)
tb_test(candle SOURCES unit/candle.c)

# For numbers_facts.py: the library's numbers on a pipe.
add_executable(numbers_echo unit/numbers_echo.c)
set_target_properties(numbers_echo PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(numbers_echo PRIVATE tickbus)
tb_script_test(numbers_facts unit/numbers_facts.py)

tb_test(candle_service SOURCES unit/candle_service.c ../consumers/candles/candles.c)
tb_test(synth SOURCES unit/synth.c ../producers/synth/synth.c)
