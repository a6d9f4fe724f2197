/*
 * YAML read into a tree that knows its lines. Built from libyaml's events, so that depth is bounded
 * while the file is being parsed, not after. Anchors and aliases are refused: a config file says
 * what it means where it means it, and an alias bomb has nothing to expand.
 */
#include <tickbus/config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#define FILE_BYTES_MAX (1024 * 1024)
#define DEPTH_MAX 32
#define NODES_MAX 65536

struct loading {
    yaml_parser_t parser;
    const char *path;
    struct tb_faults *faults;
    size_t nodes;
    char where[256]; /* "services.persist": the map that is being read */
    bool stopped;    /* a fault after which the rest can not be read */
};

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    TB_ASSERT(memory !=
              NULL); /* bounded by the limits above: out of memory here is the host's end */
    return memory;
}

static char *read_whole(const char *path, size_t *out_bytes, struct tb_faults *faults)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        tb_fault(faults, path, 0, NULL, "cannot open: %s", strerror(errno));
        return NULL;
    }
    char *text = allocate(FILE_BYTES_MAX + 1);
    size_t used = 0;
    ssize_t n = 1;
    while (n > 0 && used <= FILE_BYTES_MAX) {
        n = read(fd, text + used, FILE_BYTES_MAX + 1 - used);
        if (n > 0)
            used += (size_t)n;
    }
    if (n < 0)
        tb_fault(faults, path, 0, NULL, "cannot read: %s", strerror(errno));
    else if (used > FILE_BYTES_MAX)
        tb_fault(faults, path, 0, NULL, "is larger than 1 MiB: not a configuration");
    (void)close(fd); /* only read */
    if (n < 0 || used > FILE_BYTES_MAX) {
        free(text);
        return NULL;
    }
    *out_bytes = used;
    return text;
}

static void syntax_fault(struct loading *load)
{
    const yaml_parser_t *p = &load->parser;
    const char *problem = p->problem != NULL ? p->problem : "cannot be read as YAML";
    const char *hint = "";
    if (strstr(problem, "cannot start any token") != NULL)
        hint = " (indent with blanks, not tabs; quote values that begin with @ ` or %)";
    size_t line = p->problem_mark.line + 1;
    tb_fault(load->faults, load->path, (int)line, NULL, "%s%s%s%s", p->context ? p->context : "",
             p->context ? ": " : "", problem, hint);
    load->stopped = true;
}

static bool next_event(struct loading *load, yaml_event_t *out_event)
{
    if (load->stopped)
        return false;
    if (!yaml_parser_parse(&load->parser, out_event)) {
        syntax_fault(load);
        return false;
    }
    return true;
}

static void stop_at(struct loading *load, int line, const char *why)
{
    tb_fault(load->faults, load->path, line, NULL, "%s", why);
    load->stopped = true;
}

static struct tb_yaml *read_node(struct loading *load, const yaml_event_t *event, int depth);

/* Room for one more item in a list or map, in steps that double. */
static void grow(struct tb_yaml *node)
{
    size_t n = node->count;
    if ((n & (n - 1)) != 0 && n != 0)
        return;
    size_t room = n == 0 ? 1 : n * 2;
    node->item = reallocarray(node->item, room, sizeof(*node->item));
    TB_ASSERT(node->item != NULL);
    if (node->kind != TB_YAML_MAP)
        return;
    node->key = reallocarray(node->key, room, sizeof(*node->key));
    node->key_line = reallocarray((void *)(uintptr_t)node->key_line, room, sizeof(int));
    TB_ASSERT(node->key != NULL && node->key_line != NULL);
}

static void read_list(struct loading *load, struct tb_yaml *node, int depth)
{
    yaml_event_t event;
    while (next_event(load, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        struct tb_yaml *item = read_node(load, &event, depth + 1);
        yaml_event_delete(&event);
        if (item == NULL)
            return;
        grow(node);
        node->item[node->count++] = item;
    }
}

static int key_index(const struct tb_yaml *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->key[i], key) == 0)
            return (int)i;
    return -1;
}

/* The value of a key, with the key's place remembered for faults further in. */
static struct tb_yaml *read_value(struct loading *load, const char *key, int depth)
{
    yaml_event_t event;
    size_t before = strlen(load->where);
    if (!next_event(load, &event))
        return NULL;
    snprintf(load->where + before, sizeof(load->where) - before, "%s%s", before > 0 ? "." : "",
             key);
    struct tb_yaml *value = read_node(load, &event, depth + 1);
    load->where[before] = '\0';
    yaml_event_delete(&event);
    return value;
}

/* Takes key and value over. The first of two equal keys stays. */
static void add_pair(struct loading *load, struct tb_yaml *node, char *key, int line,
                     struct tb_yaml *value)
{
    int earlier = key_index(node, key);
    if (earlier >= 0) {
        char field[512];
        snprintf(field, sizeof(field), "%s%s%s", load->where, load->where[0] ? "." : "", key);
        tb_fault(load->faults, load->path, line, field, "is there twice; the first is in line %d",
                 node->key_line[earlier]);
        free(key);
        tb_yaml_free(value);
        return;
    }
    grow(node);
    node->key[node->count] = key;
    ((int *)(uintptr_t)node->key_line)[node->count] = line; /* const for readers of the tree */
    node->item[node->count++] = value;
}

static void read_map(struct loading *load, struct tb_yaml *node, int depth)
{
    yaml_event_t event;
    while (next_event(load, &event)) {
        int line = (int)event.start_mark.line + 1;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        if (event.type != YAML_SCALAR_EVENT) {
            stop_at(load, line, "a key must be a plain word");
            yaml_event_delete(&event);
            return;
        }
        char *key = strdup((const char *)event.data.scalar.value);
        TB_ASSERT(key != NULL);
        yaml_event_delete(&event);
        struct tb_yaml *value = read_value(load, key, depth);
        if (value == NULL) {
            free(key);
            return;
        }
        add_pair(load, node, key, line, value);
    }
}

/* The node that begins with this event; NULL after a fault that stops the reading. */
static struct tb_yaml *read_node(struct loading *load, const yaml_event_t *event, int depth)
{
    int line = (int)event->start_mark.line + 1;
    const yaml_char_t *anchor =
        event->type == YAML_SCALAR_EVENT           ? event->data.scalar.anchor
        : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.anchor
        : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.anchor
                                                   : NULL;
    if (event->type == YAML_ALIAS_EVENT || anchor != NULL)
        stop_at(load, line, "anchors and aliases (& and *) are not used here; write the value out");
    else if (depth > DEPTH_MAX)
        stop_at(load, line, "is nested deeper than 32");
    else if (++load->nodes > NODES_MAX)
        stop_at(load, line, "has more than 65536 values: not a configuration");
    if (load->stopped)
        return NULL;

    struct tb_yaml *node = allocate(sizeof(*node));
    node->line = line;
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = TB_YAML_LIST;
        read_list(load, node, depth);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        node->kind = TB_YAML_MAP;
        read_map(load, node, depth);
    } else {
        node->kind = TB_YAML_SCALAR;
        const char *text = (const char *)event->data.scalar.value;
        if (strlen(text) != event->data.scalar.length)
            stop_at(load, line, "holds a NUL byte");
        bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        if (plain && (strcmp(text, "~") == 0 || strcmp(text, "null") == 0))
            text = "";
        node->text = strdup(text);
        TB_ASSERT(node->text != NULL);
    }
    if (load->stopped) {
        tb_yaml_free(node);
        return NULL;
    }
    return node;
}

static struct tb_yaml *read_document(struct loading *load)
{
    struct tb_yaml *root = NULL;
    yaml_event_t event;
    bool end = false;
    while (!end && next_event(load, &event)) {
        int line = (int)event.start_mark.line + 1;
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_STREAM_END_EVENT:
            end = true;
            break;
        default:
            if (root != NULL)
                stop_at(load, line, "a second document begins here; one file holds one");
            else
                root = read_node(load, &event, 0);
        }
        yaml_event_delete(&event);
    }
    if (load->stopped) {
        tb_yaml_free(root);
        return NULL;
    }
    if (root == NULL)
        tb_fault(load->faults, load->path, 0, NULL, "is empty");
    return root;
}

struct tb_yaml *tb_yaml_load(const char *path, struct tb_faults *faults)
{
    size_t bytes;
    char *text = read_whole(path, &bytes, faults);
    if (text == NULL)
        return NULL;
    struct loading load = {.path = path, .faults = faults};
    int ok = yaml_parser_initialize(&load.parser);
    TB_ASSERT(ok); /* fails for want of memory only */
    yaml_parser_set_input_string(&load.parser, (const unsigned char *)text, bytes);
    struct tb_yaml *root = read_document(&load);
    yaml_parser_delete(&load.parser);
    free(text);
    return root;
}

void tb_yaml_free(struct tb_yaml *root)
{
    if (root == NULL)
        return;
    for (size_t i = 0; i < root->count; i++) {
        tb_yaml_free(root->item[i]);
        if (root->kind == TB_YAML_MAP)
            free((void *)(uintptr_t)root->key[i]);
    }
    free(root->item);
    free(root->key);
    free((void *)(uintptr_t)root->key_line);
    free((void *)(uintptr_t)root->text);
    free(root);
}

const struct tb_yaml *tb_yaml_get(const struct tb_yaml *map, const char *key)
{
    if (map == NULL || map->kind != TB_YAML_MAP)
        return NULL;
    int i = key_index(map, key);
    return i < 0 ? NULL : map->item[i];
}

const struct tb_yaml *tb_yaml_find(const struct tb_yaml *root, const char *dotted)
{
    while (root != NULL && *dotted != '\0') {
        size_t length = strcspn(dotted, ".");
        /* Keys may hold dots (a feed called "bitget.usdt"): the whole rest is tried first. */
        const struct tb_yaml *whole = tb_yaml_get(root, dotted);
        if (whole != NULL)
            return whole;
        char key[128];
        if (length >= sizeof(key))
            return NULL;
        memcpy(key, dotted, length);
        key[length] = '\0';
        root = tb_yaml_get(root, key);
        dotted += length + (dotted[length] == '.');
    }
    return root;
}
