#include <consumers/metrics/estate.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int estate_init(struct estate *e, const char *bus_dir)
{
    memset(e, 0, sizeof(*e));
    (void)snprintf(e->bus_dir, sizeof(e->bus_dir), "%s", bus_dir);
    e->stream = calloc(ESTATE_STREAMS_MAX, sizeof(*e->stream));
    e->reader = calloc(ESTATE_READERS_MAX, sizeof(*e->reader));
    e->service = calloc(ESTATE_SERVICES_MAX, sizeof(*e->service));
    e->counter = calloc(ESTATE_SERVICES_MAX * TB_STATS_COUNTERS, sizeof(*e->counter));
    return e->stream == NULL || e->reader == NULL || e->service == NULL || e->counter == NULL
               ? -ENOMEM
               : 0;
}

void estate_fini(struct estate *e)
{
    free(e->stream);
    free(e->reader);
    free(e->service);
    free(e->counter);
    memset(e, 0, sizeof(*e));
}

static int look_at_stream(const char *name, void *context)
{
    struct estate *e = context;
    struct tb_reader reader;
    if (e->stream_count == ESTATE_STREAMS_MAX || !tb_name_check(name))
        return 0;
    struct tb_reader_options options = {.from = TB_FROM_NEWEST};
    if (tb_reader_open(e->bus_dir, name, &options, &reader, NULL) != 0)
        return 0;
    struct estate_stream *s = &e->stream[e->stream_count++];
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    (void)snprintf(s->labels, sizeof(s->labels), "stream=\"%s\"", s->name);
    tb_reader_producer(&reader, &s->producer);
    s->newest = tb_reader_newest(&reader);
    tb_reader_close(&reader, false);
    return 0;
}

static tb_seq newest_of(const struct estate *e, const char *stream)
{
    for (size_t i = 0; i < e->stream_count; i++)
        if (strcmp(e->stream[i].name, stream) == 0)
            return e->stream[i].newest;
    return 0;
}

static int look_at_cursor(const char *name, void *context)
{
    struct estate *e = context;
    struct estate_reader *r = &e->reader[e->reader_count];
    if (e->reader_count == ESTATE_READERS_MAX)
        return 0;
    if (tb_cursor_inspect(e->bus_dir, name, &r->cursor, NULL) != 0 ||
        !tb_name_check(r->cursor.stream) || !tb_name_check(r->cursor.reader))
        return 0;
    (void)snprintf(r->labels, sizeof(r->labels), "stream=\"%s\",reader=\"%s\"", r->cursor.stream,
                   r->cursor.reader);
    tb_seq next = newest_of(e, r->cursor.stream) + 1;
    r->lag = next > r->cursor.cursor ? next - r->cursor.cursor : 0;
    e->reader_count++;
    return 0;
}

static int look_at_service(const char *name, void *context)
{
    struct estate *e = context;
    struct estate_service *s = &e->service[e->service_count];
    if (e->service_count == ESTATE_SERVICES_MAX || !tb_name_check(name) ||
        tb_stats_inspect(e->bus_dir, name, &s->page, &s->alive, NULL) != 0)
        return 0;
    (void)snprintf(s->labels, sizeof(s->labels), "service=\"%.31s\"", name);
    e->service_count++;
    return 0;
}

void estate_look(struct estate *e)
{
    e->stream_count = e->reader_count = e->service_count = 0;
    (void)tb_bus_list(e->bus_dir, ".ring", look_at_stream, e, NULL);
    (void)tb_bus_list(e->bus_dir, ".cursor", look_at_cursor, e, NULL);
    (void)tb_bus_list(e->bus_dir, ".stats", look_at_service, e, NULL);
    estate_index_counters(e);
}
