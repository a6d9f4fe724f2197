foreach(case facts alerts kills remade reader locked deleted readonly full corrupt)
  tb_script_test(persist_${case} service/persist.py ARGS ${case} TIMEOUT 240 LABELS service)
endforeach()
tb_script_test(persist_points service/persist.py ARGS points TIMEOUT 240 LABELS points)
