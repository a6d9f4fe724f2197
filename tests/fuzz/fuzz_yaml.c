/* Configuration files from any bytes. */
#include <string.h>

#include <tickbus/config.h>

#include "fuzz.h"

static size_t walk(const struct tb_yaml *y, int depth)
{
    size_t sum = 1;
    TB_ASSERT(y != NULL && y->line >= 0 && depth < 10000);
    if (y->kind == TB_YAML_SCALAR)
        return y->text == NULL ? 0 : strlen(y->text);
    for (size_t i = 0; i < y->count; i++) {
        if (y->kind == TB_YAML_MAP)
            TB_ASSERT(y->key[i] != NULL && tb_yaml_get(y, y->key[i]) != NULL);
        sum += walk(y->item[i], depth + 1);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct tb_faults faults = {0};
    struct tb_yaml *root = tb_yaml_load(fuzz_file("fuzz.yaml", bytes, count), &faults);
    TB_ASSERT(root != NULL || faults.count > 0 || count == 0);
    if (root != NULL)
        (void)walk(root, 0);
    (void)tb_yaml_find(root, "services.persist.database");
    tb_yaml_free(root);
    return 0;
}
