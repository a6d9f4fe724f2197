// boost::lockfree::spsc_queue of a size known to the compiler, in memory that both processes share.
#include <new>

#include <boost/lockfree/spsc_queue.hpp>

#include "bench/transport.h"

namespace
{

template <size_t slots>
using queue = boost::lockfree::spsc_queue<message, boost::lockfree::capacity<slots>>;

template <size_t slots> struct side {
    static void send_one(void *end, uint64_t seq, uint64_t intended)
    {
        message m;
        message_fill(&m, seq, intended);
        for (unsigned i = 1; !static_cast<queue<slots> *>(end)->push(m); i++)
            transport_stall(i);
    }

    static bool receive_one(void *end, message *out)
    {
        return static_cast<queue<slots> *>(end)->pop(*out);
    }

    static void prepare(transport_run *run)
    {
        run->shared_bytes = sizeof(queue<slots>);
        run->shared = bench_shared(run->shared_bytes);
        new (run->shared) queue<slots>();
    }

    static void write_all(transport_run *run)
    {
        transport_write(run, run->shared, send_one, transport_no_flush);
    }

    static void read_all(transport_run *run)
    {
        transport_read(run, run->shared, receive_one);
    }
};

constexpr size_t small = 4096, middle = 65536, large = 1 << 20;

void prepare(transport_run *run)
{
    switch (run->set->slots) {
    case small:
        side<small>::prepare(run);
        break;
    case middle:
        side<middle>::prepare(run);
        break;
    case large:
        side<large>::prepare(run);
        break;
    default:
        bench_fail("boost_spsc: no queue of %u slots was compiled", run->set->slots);
    }
}

void write_all(transport_run *run)
{
    transport_await(&run->control->reader_ready);
    switch (run->set->slots) {
    case small:
        side<small>::write_all(run);
        break;
    case middle:
        side<middle>::write_all(run);
        break;
    default:
        side<large>::write_all(run);
    }
}

void read_all(transport_run *run)
{
    transport_ready(&run->control->reader_ready);
    switch (run->set->slots) {
    case small:
        side<small>::read_all(run);
        break;
    case middle:
        side<middle>::read_all(run);
        break;
    default:
        side<large>::read_all(run);
    }
}

void finish(transport_run *run)
{
    bench_unshare(run->shared, run->shared_bytes);
}

} // namespace

extern "C" const transport transport_boost_spsc;
const transport transport_boost_spsc = {.name = "boost_spsc",
                                        .unavailable = nullptr,
                                        .prepare = prepare,
                                        .write = write_all,
                                        .read = read_all,
                                        .finish = finish,
                                        .close = nullptr};
