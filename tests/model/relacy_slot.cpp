/*
 * The slot protocol under a weak memory model: this compiles include/tickbus/slot.h itself, with its
 * atomics replaced by Relacy's, and searches every execution (all interleavings, all stale values
 * that C11 permits) of small cases.
 *
 *   model_slot [MUTANT [-v]]  exit 0: no execution breaks the contract; 1: one does (-v shows it)
 *   model_slot --list         the mutants
 *
 * A mutant changes one label of slot.h. tests/model/relacy.py demands that the original passes and that
 * every mutant fails, so an order that the header claims to need is shown to be needed.
 */
#include <cstddef>
#include <cstdio>
#include <cstring>

/* Before Relacy, which turns memory_order_acquire, malloc and others into macros. */
#include <tickbus/base.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#include <relacy/relacy.hpp>
#pragma GCC diagnostic pop

enum label { P1, P2, P3, P4, R1, R2, R3, R4 };

enum mutation { WEAKEN, REMOVE, EARLY, UNMARKED, ELSEWHERE, NONE };

struct mutant {
    const char *name;
    label at;
    mutation how;
};

static const mutant mutants[] = {
    {"original", P1, NONE},
    {"P1-removed", P1, REMOVE},    /* no mark: a reader can not know that the words change */
    {"P1-unmarked", P1, UNMARKED}, /* the mark lacks BUSY: the record looks complete too early */
    {"P2-removed", P2, REMOVE},
    {"P4-early", P4, EARLY}, /* the sequence before the words */
    {"P4-relaxed", P4, WEAKEN},
    {"R1-relaxed", R1, WEAKEN},
    {"R3-removed", R3, REMOVE},
    {"R4-removed", R4, REMOVE},         /* no second look */
    {"R4-at-the-end", R4, ELSEWHERE},   /* a run confirmed by its last slot instead of its first */
    {"R1-at-the-front", R1, ELSEWHERE}, /* a run believed whole because its first is there */
};
static const mutant *active = &mutants[0];
static bool verbose; /* print the execution that failed */

static bool is(label at, mutation how)
{
    return active->at == at && active->how == how;
}

static rl::memory_order order_of(label at, rl::memory_order order)
{
    return is(at, WEAKEN) ? rl::mo_relaxed : order;
}

/* What P1 stored and R1 saw last, per thread: a removed access needs a value in its place. */
static uint64_t last_mark, last_seen[3];
static unsigned death; /* in which visit of a TB_POINT the writer dies; 0: never */
static unsigned visits;

struct killed {
};

static void point()
{
    if (++visits == death)
        throw killed();
}

template <typename A> static uint64_t slot_load(label at, A *object, rl::memory_order order)
{
    if (is(at, REMOVE))
        return last_seen[rl::thread_index()];
    uint64_t value = object->load(order_of(at, order), $);
    if (at == R1)
        last_seen[rl::thread_index()] = value;
    return value;
}

template <typename A>
static void slot_store(label at, A *object, uint64_t value, rl::memory_order order);

static rl::atomic<uint64_t> *marked; /* word 0 of the slot that is being written */

static void slot_fence(label at, rl::memory_order order)
{
    if (!is(at, REMOVE))
        rl::atomic_thread_fence(order, $);
    if (at == P2 && is(P4, EARLY))
        marked->store(last_mark, rl::mo_release, $);
}

#undef TB_POINT
#define TB_POINT(name) point()
#define TB_SLOT_WORDS 2
#define TB_SLOT_ATOMIC(type) rl::atomic<type>
#define TB_LOAD(label, object, order) slot_load(label, (object), rl::mo_##order)
#define TB_STORE(label, object, value, order) slot_store(label, (object), (value), rl::mo_##order)
#define TB_FENCE(label, order) slot_fence(label, rl::mo_##order)
#include <tickbus/slot.h>

/* Before each execution: slots that were never written. */
static void make_empty(tb_slot *slot, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        slot[k].seq($) = 0;
        for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
            slot[k].word[i]($) = 0;
    }
    visits = 0;
}

template <typename A>
static void slot_store(label at, A *object, uint64_t value, rl::memory_order order)
{
    if (at == P1) {
        last_mark = value & ~TB_SEQ_BUSY;
        marked = object;
        if (is(P1, UNMARKED))
            value = last_mark;
    }
    if (is(at, REMOVE) || is(at, EARLY))
        return;
    object->store(value, order_of(at, order), $);
}

/* A word proves which sequence, which place and which life of the producer it belongs to. */
static uint64_t mix(uint64_t seq, uint64_t at, uint64_t life)
{
    return seq * 100 + at * 10 + life;
}

static void publish(tb_slot *slot, uint64_t seq, uint64_t life)
{
    uint64_t word[TB_SLOT_WORDS];
    for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
        word[i] = mix(seq, i, life);
    tb_slot_write(slot, seq, word);
}

static tb_slot_state read_and_check(const tb_slot *slot, uint64_t seq)
{
    uint64_t word[TB_SLOT_WORDS];
    tb_slot_state state = tb_slot_read(slot, seq, word);
    if (state == TB_SLOT_OK) {
        uint64_t life = word[0] % 10;
        for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
            RL_ASSERT(word[i] == mix(seq, i, life) && life != 0);
    }
    return state;
}

/* One slot, two laps; the reader wants the first record, then the second. */
struct two_laps : rl::test_suite<two_laps, 2> {
    tb_slot slot;

    void before()
    {
        make_empty(&slot, 1);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            publish(&slot, 1, 1);
            publish(&slot, 2, 1);
        } else {
            tb_slot_state first = read_and_check(&slot, 1);
            tb_slot_state second = read_and_check(&slot, 2);
            RL_ASSERT(second != TB_SLOT_LAPPED);
            (void)first;
        }
    }
};

/* The producer dies at a labelled place of its second publish, and its successor publishes again. */
struct restart : rl::test_suite<restart, 2> {
    tb_slot slot;

    void before()
    {
        make_empty(&slot, 1);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            publish(&slot, 1, 1);
            try {
                publish(&slot, 2, 1);
            } catch (const killed &) {
                publish(&slot, 2, 2);
            }
        } else {
            read_and_check(&slot, 1);
            read_and_check(&slot, 2);
        }
    }
};

/* Two readers do not see each other, but both see one order. */
struct two_readers : rl::test_suite<two_readers, 3> {
    tb_slot slot;

    void before()
    {
        make_empty(&slot, 1);
    }

    void thread(unsigned index)
    {
        if (index == 0)
            publish(&slot, 1, 1);
        else
            read_and_check(&slot, 1);
    }
};

/*
 * tb_reader_run and tb_reader_confirm (bus/reader.c): a run of two records is read in place, and one look
 * at the first slot says whether all of it was whole. The writer overwrites in order.
 */
struct run_in_place : rl::test_suite<run_in_place, 2> {
    tb_slot slot[2];

    void before()
    {
        make_empty(slot, 2);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (uint64_t seq = 2; seq <= 5; seq++)
                publish(&slot[seq & 1], seq, 1);
            return;
        }
        /* The run: sequences 2 and 3. */
        uint64_t word[2];
        for (uint64_t k = 0; k < 2; k++)
            if (TB_LOAD(R1, &slot[k].seq, acquire) != 2 + k)
                return;
        for (uint64_t k = 0; k < 2; k++)
            word[k] = TB_LOAD(R2, &slot[k].word[1], relaxed);
        TB_FENCE(R3, acquire);
        uint64_t looked = is(R4, ELSEWHERE) ? 1 : 0;
        if (TB_LOAD(R4, &slot[looked].seq, relaxed) == 2 + looked)
            for (uint64_t k = 0; k < 2; k++)
                RL_ASSERT(word[k] == mix(2 + k, 1, 1));
    }
};

/*
 * A run that is found by one look at its last slot (run_now in bus/reader.c): what the reader then copies
 * of the slots before it must be theirs, though it never looked at their sequences before.
 */
struct run_by_its_last : rl::test_suite<run_by_its_last, 2> {
    tb_slot slot[2];

    void before()
    {
        make_empty(slot, 2);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (uint64_t seq = 2; seq <= 4; seq++)
                publish(&slot[seq & 1], seq, 1);
            return;
        }
        /* The run: sequences 2 and 3. */
        uint64_t word[2][TB_SLOT_WORDS], looked = is(R1, ELSEWHERE) ? 0 : 1;
        if (TB_LOAD(R1, &slot[looked].seq, acquire) != 2 + looked)
            return;
        for (uint64_t k = 0; k < 2; k++)
            for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
                word[k][i] = TB_LOAD(R2, &slot[k].word[i], relaxed);
        TB_FENCE(R3, acquire);
        if (TB_LOAD(R4, &slot[0].seq, relaxed) == 2)
            for (uint64_t k = 0; k < 2; k++)
                for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
                    RL_ASSERT(word[k][i] == mix(2 + k, i, 1));
    }
};

/*
 * tb_reader_resync (bus/reader.c) calls a ring broken that says "lapped" and shows nothing newer. It may,
 * because whoever sees P1 of s (a relaxed store, but behind P2 of s - 1) sees all records to s - 2, and
 * whoever sees P4 of s sees those to s - 1.
 */
struct lapped_means_far_ahead : rl::test_suite<lapped_means_far_ahead, 2> {
    tb_slot slot[4];

    void before()
    {
        make_empty(slot, 2);
    }

    void thread(unsigned index)
    {
        if (index == 0) {
            for (uint64_t seq = 1; seq <= 5; seq++)
                publish(&slot[seq & 3], seq, 1);
            return;
        }
        uint64_t seen = TB_LOAD(R1, &slot[1].seq, acquire);
        if ((seen & ~TB_SEQ_BUSY) != 5)
            return;
        RL_ASSERT(TB_LOAD(R1, &slot[3].seq, acquire) == 3);
        if (seen == 5)
            RL_ASSERT(TB_LOAD(R1, &slot[0].seq, acquire) == 4);
    }
};

template <typename T> static bool search(const char *name)
{
    rl::test_params params;
    params.search_type = rl::fair_full_search_scheduler_type;
    params.iteration_count = 20000000;
    std::ostream quiet(nullptr); /* Relacy owns operator new: a stream with memory would break */
    if (!verbose) {
        params.output_stream = &quiet;
        params.progress_stream = &quiet;
    }
    bool clean = rl::simulate<T>(params);
    std::printf("case=%s mutant=%s executions=%llu %s\n", name, active->name,
                (unsigned long long)params.stop_iteration,
                clean ? "clean" : rl::test_result_str(params.test_result));
    return clean;
}

int main(int argc, char **argv)
{
    if (argc > 1 && std::strcmp(argv[1], "--list") == 0) {
        for (const mutant &m : mutants)
            std::printf("%s\n", m.name);
        return 0;
    }
    if (argc > 1) {
        active = nullptr;
        for (const mutant &m : mutants)
            if (std::strcmp(m.name, argv[1]) == 0)
                active = &m;
        if (active == nullptr) {
            std::fprintf(stderr, "no such mutant: %s\n", argv[1]);
            return 64;
        }
    }
    verbose = argc > 2 && std::strcmp(argv[2], "-v") == 0;
    if (!search<two_laps>("two_laps"))
        return 1;
    if (!search<run_in_place>("run_in_place"))
        return 1;
    if (!search<run_by_its_last>("run_by_its_last"))
        return 1;
    if (!search<lapped_means_far_ahead>("lapped_means_far_ahead"))
        return 1;
    if (active->how != NONE)
        return 0; /* a mutant that nobody found; the script reports it */
    /* Each publish visits four points: 5, 6, 7 are inside the second publish. */
    for (death = 5; death <= 7; death++)
        if (!search<restart>("restart"))
            return 1;
    death = 0;
    return search<two_readers>("two_readers") ? 0 : 1;
}
