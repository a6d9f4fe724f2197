# The service skeleton, proved by two model services.
foreach(model make sum)
  add_executable(model_${model} service/model_${model}.c)
  set_target_properties(model_${model} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(model_${model} PRIVATE tickbus)
endforeach()
tb_script_test(service_skeleton service/skeleton.py TIMEOUT 180 LABELS service)
