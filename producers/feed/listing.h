/*
 * A venue's markets as its listing has them, and the copy of it on disk that an offline start goes
 * by.
 *
 * The file is text, <venue>-<hash of the REST address>.listing: a line that names the format,
 * "key<TAB> value" lines (venue, rest_url, taken, complete), one line
 * "symbol<TAB>raw<TAB>price_exp<TAB>size_exp" for each market, and last "crc32c<TAB>" of all before
 * it. It is replaced as a whole, by rename. One that is damaged, or of another venue or address, is
 * none.
 */
#ifndef TICKBUS_FEED_LISTING_H
#define TICKBUS_FEED_LISTING_H

#include "producers/adapter/adapter.h"

struct listing {
    struct adapter_market_config *market;
    size_t count, capacity;
    bool failed;   /* there was no memory for all */
    bool complete; /* all that the venue has; else what was asked for until now */
    tb_ns taken;   /* wall clock */
};

/* Where the copy of a venue's listing is, and of what. */
struct listing_file {
    char directory[256]; /* empty: there is none */
    char path[384];
    const char *venue, *rest_url;
};

/* listing_add: as adapter_ops.listing_read wants it; context is the listing. listing_free accepts
 * zero. */
void listing_add(void *context, const struct adapter_market_config *market);
void listing_free(struct listing *l);
const struct adapter_market_config *listing_find(const struct listing *l, const char *symbol);
/* listing_merge: what `newer` has goes into l, over what was there under the same symbol. */
void listing_merge(struct listing *l, const struct listing *newer);

/*
 * listing_place: in `directory`, or if NULL in $CACHE_DIRECTORY (systemd), $XDG_CACHE_HOME/tickbus
 * or ~/.cache/tickbus; "none", or none of these: no copy is kept.
 */
void listing_place(struct listing_file *file, const char *directory, const char *venue,
                   const char *rest_url);
/* listing_load: 0; -ENOENT there is none; -EBADMSG damaged, err says how; other -errno. */
int listing_load(struct listing *l, const struct listing_file *file, struct tb_error *err);
int listing_store(const struct listing *l, const struct listing_file *file, struct tb_error *err);

#endif
