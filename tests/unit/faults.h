/* A file of a test's own, and the faults that reading it gave, as text. */
#ifndef TICKBUS_TESTS_FAULTS_H
#define TICKBUS_TESTS_FAULTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tickbus/config.h>

struct heard {
    char path[64];
    char *text;
    size_t bytes;
    struct tb_faults faults;
};

static inline int heard_setup(void **state)
{
    struct heard *h = calloc(1, sizeof(*h));
    strcpy(h->path, "/tmp/tickbus-test-XXXXXX");
    int fd = mkstemp(h->path);
    h->faults.out = open_memstream(&h->text, &h->bytes);
    *state = h;
    return fd < 0 || close(fd) != 0 || h->faults.out == NULL ? -1 : 0;
}

static inline int heard_teardown(void **state)
{
    struct heard *h = *state;
    fclose(h->faults.out);
    free(h->text);
    int rc = unlink(h->path);
    free(h);
    return rc;
}

#define HEARD_TEST(function) cmocka_unit_test_setup_teardown(function, heard_setup, heard_teardown)

static inline struct tb_yaml *load_bytes(struct heard *h, const char *text, size_t bytes)
{
    FILE *f = fopen(h->path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
    return tb_yaml_load(h->path, &h->faults);
}

static inline struct tb_yaml *load_text(struct heard *h, const char *text)
{
    return load_bytes(h, text, strlen(text));
}

/* The fault "<file><rest>" was reported: rest begins with ":3: key: ...". */
static inline void assert_heard(struct heard *h, const char *rest)
{
    char wanted[512];
    fflush(h->faults.out);
    snprintf(wanted, sizeof(wanted), "%s%s", h->path, rest);
    if (strstr(h->text, wanted) == NULL)
        fail_msg("no \"%s\" in:\n%s", rest, h->text);
}

#endif
