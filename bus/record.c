/*
 * The names of the codes in records, as tools print them and scripts match them.
 */
#include <tickbus/record.h>

#include <errno.h>
#include <string.h>

static const struct {
    uint8_t type;
    const char *name;
} type_names[] = {
    {TB_TRADE, "trade"},   {TB_QUOTE, "quote"},
    {TB_LEVEL, "level"},   {TB_CLEAR, "clear"},
    {TB_GAP, "gap"},       {TB_STATUS, "status"},
    {TB_ALERT, "alert"},   {TB_EVENT, "event"},
    {TB_CANDLE, "candle"}, {TB_CANDLE_VOLUME, "candle_volume"},
};

const char *tb_record_type_name(uint8_t type)
{
    /* The low three bits of a candle's type are its timeframe. */
    if ((type & 0xF8) == TB_CANDLE || (type & 0xF8) == TB_CANDLE_VOLUME)
        type &= 0xF8;
    for (size_t i = 0; i < TB_COUNT(type_names); i++)
        if (type_names[i].type == type)
            return type_names[i].name;
    return "unknown";
}

int tb_record_type_parse(const char *name)
{
    for (size_t i = 0; i < TB_COUNT(type_names); i++)
        if (strcmp(type_names[i].name, name) == 0)
            return type_names[i].type;
    return -EINVAL;
}

/* Codes count from 1; entry 0 is what a code that this build does not know is called. */
static const char *name_of(const char *const *names, size_t count, uint32_t code)
{
    return names[code < count ? code : 0];
}

const char *tb_gap_reason_name(uint32_t reason)
{
    static const char *const names[] = {"unknown",   "sequence", "reconnect", "restart",
                                        "bad_frame", "checksum", "overflow",  "overrun"};
    return name_of(names, TB_COUNT(names), reason);
}

const char *tb_channel_name(uint32_t channel)
{
    static const char *const names[] = {"unknown", "trades", "book", "quotes", "input"};
    return name_of(names, TB_COUNT(names), channel);
}

const char *tb_status_name(uint32_t code)
{
    static const char *const names[] = {"unknown",  "connected",   "disconnected", "synced",
                                        "unsynced", "maintenance", "end",          "refused"};
    return name_of(names, TB_COUNT(names), code);
}

const char *tb_alert_state_name(uint8_t state)
{
    static const char *const names[] = {"unknown", "pending", "firing", "resolved"};
    return name_of(names, TB_COUNT(names), state);
}

const char *tb_severity_name(uint8_t severity)
{
    static const char *const names[] = {"unknown", "info", "warning", "critical"};
    return name_of(names, TB_COUNT(names), severity);
}
