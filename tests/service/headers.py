#!/usr/bin/env python3
"""Every public header compiles alone, as C and as C++, with every compiler that is there."""

import os
import shutil
import subprocess
import sys

SOURCE = os.environ["TICKBUS_SOURCE"]
FOLDER = os.path.join(SOURCE, "include", "tickbus")
FLAGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only",
         "-I", os.path.join(SOURCE, "include"), "-"]
COMPILERS = [("gcc", "c", "c17"), ("clang", "c", "c17"),
             ("g++", "c++", "c++17"), ("clang++", "c++", "c++17"), ("g++", "c++", "c++20")]

# The inline functions are what C++ programs call: each is used once.
USE = """
#include <tickbus/reader.h>
#include <tickbus/stats.h>
static void fill(void *record, size_t index, tb_slot *slot)
{
    uint64_t word[TB_SLOT_WORDS];
    tb_record_words(word, static_cast<tb_record *>(record) + index);
    tb_slot_put(slot, 0, word[0]);
    for (size_t i = 1; i < TB_SLOT_WORDS; i += 2)
        tb_slot_put_pair(slot, i, tb_word_pair{word[i], word[i + 1]});
}
tb_seq use(tb_writer *w, tb_reader *r, tb_record *record, tb_stats_counter *counter);
tb_seq use(tb_writer *w, tb_reader *r, tb_record *record, tb_stats_counter *counter)
{
    tb_stats_set(counter, tb_publish_delta(2, 1) + (tb_record_is_candle(record) ? tb_record_timeframe(record) : 0));
    if (tb_reader_next(r, record) != TB_READ_OK || !(*tb_version()))
        return 0;
    return tb_writer_publish(w, record) + tb_writer_publish_many(w, record, 1) +
           tb_writer_publish_in_place(w, 1, fill, record);
}
"""


def main():
    headers = sorted(name for name in os.listdir(FOLDER) if name.endswith(".h"))
    faults = 0
    for compiler, language, standard in COMPILERS:
        if shutil.which(compiler) is None:
            print(f"not here: {compiler}")
            continue
        texts = {name: f"#include <tickbus/{name}>\n#include <tickbus/{name}>\n" for name in headers}
        if language == "c++":
            texts["the inline functions"] = USE
        for name, text in texts.items():
            done = subprocess.run([compiler, "-x", language, f"-std={standard}", *FLAGS], text=True,
                                  input=text, timeout=60, stderr=subprocess.PIPE)
            if done.returncode != 0:
                print(f"FAULT: {name} with {compiler} -std={standard}:\n{done.stderr}")
                faults += 1
    sys.exit(1 if faults or not headers else 0)


main()
