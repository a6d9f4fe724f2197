foreach(case facts kills locked deleted readonly full corrupt)
  tb_script_test(persist_${case} service/persist.py ARGS ${case} TIMEOUT 240 LABELS service)
endforeach()
