# `tickbus up` and `tickbus config`, with the programs themselves.
tb_script_test(service_up service/up.py TIMEOUT 180 LABELS service)
tb_script_test(service_example_config service/example_config.py TIMEOUT 60 LABELS service)
