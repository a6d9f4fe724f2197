tb_test(adapter_binance SOURCES unit/adapter_binance.c LIBS tb_adapter)
tb_test(adapter_book SOURCES unit/adapter_book.c LIBS tb_adapter)
tb_test(adapter_hostile SOURCES unit/adapter_hostile.c LIBS tb_adapter)
tb_test(capture SOURCES unit/capture.c LIBS tb_capture ZLIB::ZLIB)
