tb_script_test(load service/load.py TIMEOUT 240 LABELS service)
