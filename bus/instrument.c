/*
 * What may stand in an instrument table, and what may be a name. Entries come from other processes:
 * everything is checked here before anyone prints it or makes a file name of it.
 */
#include <tickbus/instrument.h>

#include <string.h>

/* Does the text end within its field, and is every byte fit to be shown in a terminal, JSON or SQL? */
static bool text_fit(const char *text, size_t bytes)
{
    const char *end = memchr(text, '\0', bytes);
    if (end == NULL)
        return false;
    for (const char *c = text; c < end; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

bool tb_symbol_check(const char *symbol)
{
    size_t length = strnlen(symbol, TB_SYMBOL_BYTES);
    return length > 0 && length < TB_SYMBOL_BYTES && text_fit(symbol, TB_SYMBOL_BYTES) &&
           strpbrk(symbol, "\\\"'`") == NULL;
}

bool tb_name_check(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t length = strnlen(name, TB_STREAM_BYTES);
    return length > 0 && length < TB_STREAM_BYTES && strspn(name, allowed) == length &&
           strchr("_-", name[0]) == NULL;
}

bool tb_instrument_check(const struct tb_instrument *entry, uint16_t id)
{
    if (!text_fit(entry->venue, sizeof(entry->venue)) ||
        !text_fit(entry->symbol, sizeof(entry->symbol)) ||
        !text_fit(entry->raw, sizeof(entry->raw)) ||
        !text_fit(entry->stream, sizeof(entry->stream)) ||
        !text_fit(entry->label, sizeof(entry->label)))
        return false;
    /* Only a labelled entry (an alert rule on a whole stream) may be about no market at all. */
    bool labelled = entry->label[0] != '\0';
    if (!(entry->venue[0] != '\0' || labelled) ||
        !(tb_symbol_check(entry->symbol) || (labelled && entry->symbol[0] == '\0')))
        return false;
    if (entry->raw[0] != '\0' && !tb_symbol_check(entry->raw))
        return false;
    if (entry->stream[0] != '\0' && !tb_name_check(entry->stream))
        return false;
    return entry->price_exp >= TB_EXP_MIN && entry->price_exp <= 0 &&
           entry->size_exp >= TB_EXP_MIN && entry->size_exp <= 0 && entry->market != 0 &&
           entry->market <= id;
}

enum tb_trade_ids tb_venue_trade_ids(const char *venue)
{
    /* binanceusdm numbers orders of its insurance fund, too, which are no trades of the market. */
    static const char *const each[] = {"binance", "binanceus", "coinbase", "coinbaseexchange",
                                       "kraken"};
    static const char *const merged[] = {"okx", "okcoin"};
    for (size_t i = 0; i < TB_COUNT(each); i++)
        if (strcmp(venue, each[i]) == 0)
            return TB_TRADE_IDS_EACH;
    for (size_t i = 0; i < TB_COUNT(merged); i++)
        if (strcmp(venue, merged[i]) == 0)
            return TB_TRADE_IDS_MERGED;
    return TB_TRADE_IDS_FREE;
}
