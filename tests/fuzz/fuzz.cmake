# The parsers of foreign bytes. tests/fuzz/run builds and runs them with libFuzzer; here each gets the
# corpus and a fixed set of changes to it.
option(TB_FUZZ "build the libFuzzer targets (clang)" OFF)
if(TB_FUZZ) # limits that short inputs reach, and an adapter that is made quickly
  target_compile_definitions(tb_adapter PRIVATE BINANCE_LEVELS_MAX=64 BINANCE_MESSAGE_BYTES=4096
    BINANCE_PENDING_EVENTS=16)
endif()

function(tb_fuzz name)
  cmake_parse_arguments(P "" "" "LIBS" ${ARGN})
  add_executable(fuzz_${name}_corpus fuzz/fuzz_${name}.c fuzz/fuzz.c fuzz/corpus_main.c)
  set(programs fuzz_${name}_corpus)
  if(TB_FUZZ)
    add_executable(fuzz_${name} fuzz/fuzz_${name}.c fuzz/fuzz.c)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    list(APPEND programs fuzz_${name})
  endif()
  foreach(program ${programs})
    set_target_properties(${program} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests LINKER_LANGUAGE CXX)
    target_include_directories(${program} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests/fuzz)
    target_link_libraries(${program} PRIVATE ${P_LIBS} tickbus)
  endforeach()
  tb_script_test(fuzz_${name} fuzz/corpus.py ARGS test ${name} LABELS fuzz)
endfunction()

tb_fuzz(binance LIBS tb_adapter)
tb_fuzz(capture LIBS tb_capture)
tb_fuzz(yaml)
