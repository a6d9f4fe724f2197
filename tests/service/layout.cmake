# LAYOUT.md, checked by a reader in another language; and the installed tree, by a program outside it.
add_executable(layout_example service/layout_example.c)
target_link_libraries(layout_example PRIVATE tickbus)
set_target_properties(layout_example PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
tb_script_test(layout service/layout.py)
tb_script_test(installed service/installed.py)
tb_script_test(headers service/headers.py)
