# A producer that does what a test tells it, and the operator's tools against it.
add_executable(fill tools/fill.c)
set_target_properties(fill PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(fill PRIVATE tickbus)
tb_script_test(tail_tool tools/tail.py)
tb_script_test(stat_tool tools/stat.py)
tb_script_test(bench_runs tools/bench.py)
