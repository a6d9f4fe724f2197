tb_test(alert_rules SOURCES unit/alert_rules.c ../consumers/alerts/rules.c)
tb_test(alert_engine SOURCES unit/alert_engine.c ../consumers/alerts/engine.c
  ../consumers/alerts/engine_save.c ../consumers/alerts/notice.c ../consumers/alerts/rules.c)
tb_test(metrics_text SOURCES unit/metrics_text.c ../consumers/metrics/market.c
  ../consumers/metrics/market_text.c ../consumers/metrics/estate.c ../consumers/metrics/estate_text.c
  ../consumers/metrics/text.c ../consumers/metrics/push.c LIBS tickbus_post)
