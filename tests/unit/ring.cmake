# The ring, its readers, waiting and guarded mappings.
tb_test(ring SOURCES unit/ring.c)
tb_test(ring_life SOURCES unit/ring_life.c)
tb_test(ring_hostile SOURCES unit/ring_hostile.c)
tb_test(ring_gate SOURCES unit/ring_gate.c)
tb_test(cursor SOURCES unit/cursor.c)
tb_test(wait SOURCES unit/wait.c TIMEOUT 120)
tb_test(mapping_guard SOURCES unit/mapping_guard.c)
