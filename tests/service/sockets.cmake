# feed and venue: their parts, then both over real sockets.
tb_test(venue_json SOURCES unit/venue_json.c ${CMAKE_SOURCE_DIR}/producers/venue/json.c LABELS unit)
tb_test(feed_parts SOURCES unit/feed_parts.c ${CMAKE_SOURCE_DIR}/producers/feed/backoff.c
  ${CMAKE_SOURCE_DIR}/producers/feed/socket.c LIBS tb_net PkgConfig::CURL LABELS unit)
tb_script_test(venue service/venue.py TIMEOUT 180 LABELS service)
tb_script_test(feed service/feed.py TIMEOUT 300 LABELS service)
