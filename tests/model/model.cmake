# The protocols, proved: Spin for the algorithms, Relacy for the memory orders.
tb_script_test(model_slot_spin model/spin.py TIMEOUT 300 LABELS model
  ARGS ${CMAKE_CURRENT_SOURCE_DIR}/model/slot.pml
    CAPACITY=2,LAST=4,DEATHS=2 CAPACITY=4,LAST=7 CAPACITY=2,LAST=3,READERS=2,DEATHS=0)
tb_script_test(model_wait_spin model/spin.py TIMEOUT 300 LABELS model
  ARGS ${CMAKE_CURRENT_SOURCE_DIR}/model/wait.pml
    STREAMS=1,READERS=2,RECORDS=3 STREAMS=2,READERS=1,RECORDS=2 STREAMS=2,READERS=2,RECORDS=1)
tb_script_test(model_slot_relacy model/relacy.py LABELS model)

# Relacy brings its own threads (fibers), malloc and atomics, so it wants a plain compiler run.
find_path(RELACY_INCLUDE relacy/relacy.hpp)
if(RELACY_INCLUDE AND NOT TB_SANITIZE)
  add_executable(model_slot model/relacy_slot.cpp)
  target_include_directories(model_slot PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_options(model_slot PRIVATE -w -fpermissive -fno-sized-deallocation
    -fno-stack-protector -D_FORTIFY_SOURCE=0) # its fibers jump between stacks
  set_target_properties(model_slot PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
