/*
 * Files in /dev/shm can not be sealed, so whoever may write one may also truncate it; the next touch
 * of a mapping of it raises SIGBUS. The handler here looks the address up in a fixed table; if it is
 * in a guarded mapping it replaces the whole mapping by private zero pages (zero is "never written"
 * in every layout of this project) and sets the mapping's flag, and the access is repeated and
 * succeeds. Any other SIGBUS goes to whoever handled it before.
 *
 * The table is lock-free because the handler may run between any two instructions: an entry is
 * claimed by a compare-and-swap on `base` and made valid by a release store to it, last.
 */
#include "mapping_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

/* Four a reader at most: room for a thousand readers in one process. */
#define GUARDS_MAX 4096

#define GUARD_FREE ((uintptr_t)0)
#define GUARD_CLAIMED ((uintptr_t)1)

static struct guard {
    _Atomic(uintptr_t) base; /* GUARD_FREE, GUARD_CLAIMED, or the address */
    size_t bytes;
    int prot;
    volatile int broken;
} guards[GUARDS_MAX];

/* One above the highest entry ever used: what the handler has to look at. */
static atomic_int guards_used;

/* Who handled SIGBUS before us; and whether this thread is on its way to them already. */
static struct sigaction previous;
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread volatile sig_atomic_t passing_on __attribute__((tls_model("initial-exec")));

static bool guard_repair(struct guard *g, uintptr_t address)
{
    uintptr_t base = atomic_load_explicit(&g->base, memory_order_acquire);
    if (base <= GUARD_CLAIMED || address < base || address - base >= g->bytes)
        return false;
    g->broken = 1;
    return mmap((void *)base, g->bytes, g->prot,
                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    bool circle = passing_on != 0;
    passing_on = 1;
    if (!circle && (previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(number, info, context);
    } else if (!circle && previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else {
        /* The default: the repeated access, or the repeated signal, ends the process. */
        (void)signal(SIGBUS, SIG_DFL);
        if (info->si_code <= 0 && (circle || previous.sa_handler == SIG_DFL))
            (void)raise(SIGBUS);
    }
    passing_on = 0;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    int used = atomic_load_explicit(&guards_used, memory_order_acquire);
    /* A signal that a person sent has no address of ours (si_code <= 0). */
    for (int i = 0; info->si_code > 0 && i < used; i++)
        if (guard_repair(&guards[i], address)) {
            errno = saved_errno;
            return;
        }
    errno = saved_errno;
    pass_on(number, info, context);
}

/*
 * Looked at with every guard, not once: somebody may have set a handler of his own since. If that one
 * remembers ours and calls it, the two of us would go in circles; `passing_on` ends that.
 */
static void install(void)
{
    struct sigaction present;
    struct sigaction ours = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigemptyset(&ours.sa_mask);
    (void)pthread_mutex_lock(&install_lock);
    if (sigaction(SIGBUS, NULL, &present) == 0 &&
        !((present.sa_flags & SA_SIGINFO) != 0 && present.sa_sigaction == on_sigbus)) {
        previous = present;
        (void)sigaction(SIGBUS, &ours, NULL);
    }
    (void)pthread_mutex_unlock(&install_lock);
}

int tb_guard_add(void *base, size_t bytes, int prot)
{
    install();
    for (int i = 0; i < GUARDS_MAX; i++) {
        uintptr_t expected = GUARD_FREE;
        if (!atomic_compare_exchange_strong(&guards[i].base, &expected, GUARD_CLAIMED))
            continue;
        guards[i].bytes = bytes;
        guards[i].prot = prot;
        guards[i].broken = 0;
        atomic_store_explicit(&guards[i].base, (uintptr_t)base, memory_order_release);
        int used = atomic_load(&guards_used);
        while (used <= i && !atomic_compare_exchange_weak(&guards_used, &used, i + 1))
            continue;
        return i;
    }
    return -EMFILE;
}

void tb_guard_remove(int handle)
{
    if (handle >= 0)
        atomic_store_explicit(&guards[handle].base, GUARD_FREE, memory_order_release);
}

volatile int *tb_guard_broken(int handle)
{
    return &guards[handle].broken;
}
