#include "producers/capture/scan.h"

int capture_scan(const struct adapter_ops *ops, const struct capture_event *event,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels)
{
    if (event->kind == CAPTURE_CONNECT && ops->scan_connect != NULL)
        ops->scan_connect(event->url, channels);
    if (event->kind != CAPTURE_FRAME && event->kind != CAPTURE_HTTP)
        return 0;
    return ops->scan(event->kind == CAPTURE_HTTP ? event->url : NULL, event->text, event->length,
                     markets, count, max, channels);
}
