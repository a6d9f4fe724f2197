# tail and stat: their logic, without a bus.
tb_test(tail SOURCES unit/tail.c ${CMAKE_SOURCE_DIR}/consumers/tail/tail.c
  ${CMAKE_SOURCE_DIR}/consumers/tail/fields.c ${CMAKE_SOURCE_DIR}/consumers/tail/filter.c)
tb_test(stat SOURCES unit/stat.c ${CMAKE_SOURCE_DIR}/consumers/stat/stat.c LIBS m)
