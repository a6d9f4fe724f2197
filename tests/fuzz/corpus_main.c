/*
 * Gives each file of a directory to a fuzz target, as it is and changed in many small ways by a fixed
 * generator: the ordinary test run of what libFuzzer does for hours.
 *
 *   fuzz_X_corpus DIRECTORY ROUNDS
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX (1U << 20)

static uint64_t state = 88172645463325252U;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13; /* xorshift64 */
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* One change: a bit, a byte, a run repeated, a run removed, or the end cut. */
static size_t change(uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    size_t at = draw(count), run = 1 + draw(count - at < 32 ? count - at : 32);
    switch (draw(5)) {
    case 0:
        bytes[at] = (uint8_t)(bytes[at] ^ 1U << draw(8));
        return count;
    case 1:
        bytes[at] = (uint8_t) "{}[]\",:\\0-9e.\n\x80"[draw(15)];
        return count;
    case 2:
        if (count + run > INPUT_MAX)
            return count;
        memmove(bytes + at + run, bytes + at, count - at);
        return count + run;
    case 3:
        memmove(bytes + at, bytes + at + run, count - at - run);
        return count - run;
    default:
        return at;
    }
}

static void give_file(const char *path, unsigned long rounds, unsigned long *inputs)
{
    static uint8_t whole[INPUT_MAX], changed[INPUT_MAX];
    FILE *f = fopen(path, "re");
    TB_ASSERT(f != NULL);
    size_t count = fread(whole, 1, sizeof(whole), f);
    (void)fclose(f); /* was only read */
    (void)LLVMFuzzerTestOneInput(whole, count);
    for (unsigned long i = 0; i < rounds; i++) {
        size_t size = count;
        memcpy(changed, whole, count);
        for (uint64_t changes = 1 + draw(4); changes > 0; changes--)
            size = change(changed, size);
        (void)LLVMFuzzerTestOneInput(changed, size);
    }
    *inputs += rounds + 1;
}

int main(int argc, char **argv)
{
    char path[1024];
    unsigned long inputs = 0;
    DIR *dir = argc == 3 ? opendir(argv[1]) : NULL;
    if (dir == NULL) {
        fprintf(stderr, "usage: %s DIRECTORY ROUNDS\n", argv[0]);
        return 64;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        give_file(path, strtoul(argv[2], NULL, 10), &inputs);
    }
    (void)closedir(dir);
    printf("%lu inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
