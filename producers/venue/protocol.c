#include "protocol.h"

#include <stdio.h>
#include <string.h>

static const struct protocol_ops *const protocols[] = {&protocol_binance, &protocol_bybit,
                                                       &protocol_coinbase, &protocol_okx};

const struct protocol_ops *protocol_find(const char *venue)
{
    for (size_t i = 0; i < TB_COUNT(protocols); i++)
        for (const char *const *name = protocols[i]->venues; *name != NULL; name++)
            if (strcmp(*name, venue) == 0)
                return protocols[i];
    return NULL;
}

const char *protocol_names(char *out, size_t bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < TB_COUNT(protocols); i++)
        for (const char *const *name = protocols[i]->venues; *name != NULL && used < bytes; name++)
            used += (size_t)snprintf(out + used, bytes - used, " %s", *name);
    return out;
}
