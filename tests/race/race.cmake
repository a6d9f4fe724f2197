# The ring under real concurrency and kills. TB_RACE_SECONDS, TB_KILL_ROUNDS make them longer.
tb_test(race SOURCES race/race.c TIMEOUT 300 LABELS race)
tb_test(kill SOURCES race/kill.c TIMEOUT 300 LABELS race)
