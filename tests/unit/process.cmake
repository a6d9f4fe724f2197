# What every process is made of: configuration, times, logs, statistics, checkpoints.
tb_test(config SOURCES unit/config.c LABELS unit)
tb_test(yaml SOURCES unit/yaml.c LABELS unit)
tb_test(clock SOURCES unit/clock.c LABELS unit)
tb_test(stats SOURCES unit/stats.c LABELS unit)
tb_test(checkpoint SOURCES unit/checkpoint.c LABELS unit)
tb_test(log SOURCES unit/log.c LABELS unit)
