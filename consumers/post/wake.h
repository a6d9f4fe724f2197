/* What a service that posts needs around it: svc->wake_fd as the eventfd that ends its wait when a
 * request ended. */
#ifndef TICKBUS_CONSUMERS_POST_WAKE_H
#define TICKBUS_CONSUMERS_POST_WAKE_H

#include <tickbus/service.h>

/* post_given: is the address configured, that is neither left out nor empty? */
static inline bool post_given(const char *url)
{
    return url != NULL && url[0] != '\0';
}

/* post_wake_open: 0 or -errno. post_wake_close: when nothing can write to it any more. */
int post_wake_open(struct tb_service *svc);
void post_wake_close(struct tb_service *svc);

/* post_wake_take: what woke us is being looked at. */
void post_wake_take(const struct tb_service *svc);

#endif
