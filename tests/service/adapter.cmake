# For adapter_facts.py: a capture through its adapter, printed.
add_executable(adapter_dump service/adapter_dump.c)
set_target_properties(adapter_dump PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(adapter_dump PRIVATE tb_adapter tb_capture tickbus)
tb_script_test(adapter_facts service/adapter_facts.py LABELS service)

add_executable(replay_reader service/replay_reader.c)
set_target_properties(replay_reader PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(replay_reader PRIVATE tickbus)
tb_script_test(replay service/replay.py TIMEOUT 300 LABELS service)
