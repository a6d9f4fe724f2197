tb_test(adapter_binance SOURCES unit/adapter_binance.c LIBS tb_adapter)
tb_test(capture SOURCES unit/capture.c LIBS tb_capture ZLIB::ZLIB)
