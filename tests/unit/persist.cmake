tb_test(persist SOURCES unit/persist.c LIBS persist LABELS unit sanitize)
tb_test(persist_store SOURCES unit/persist_store.c LIBS persist LABELS unit sanitize)
