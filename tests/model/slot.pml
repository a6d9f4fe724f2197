/*
 * The ring as an algorithm: capacity, cursor, overrun, resync, a producer that dies in mid-publish and
 * its successor. Labels are those of include/tickbus/slot.h. Memory here is sequentially consistent;
 * the orders are Relacy's part (relacy_slot.cpp).
 *
 * tests/model/spin.py runs it whole and then with each mutant (-DMUTANT_...), which must fail.
 *
 * Properties
 *   whole      a returned record has all words of one publish, and is the one that was asked for
 *   one story  what was once complete under a sequence never changes, so two readers agree
 *   no hole    the n-th completed publish of an epoch has sequence n, whatever died in between
 *   account    read + lost == cursor - first, at every moment
 *   not stuck  with the producer at rest (finished, or dead for ever): EMPTY only behind the
 *              newest complete record, and each resync moves the cursor
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef LAST
#define LAST 5 /* sequences to publish */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef READERS
#define READERS 1
#endif
/* As in bus/reader.c: a resync keeps three quarters of a capacity. */
#define KEEP (CAPACITY * 3 / 4)

#define BUSY 32 /* the mark; sequences are below it */
#define AT(s) ((s) % CAPACITY)
#define NAMED(w) ((w) & 31)
/* The words of sequence s written by the producer's life l. */
#define WORDS(s, l) ((s) + 16 * (l))

byte seq[CAPACITY];
byte word_a[CAPACITY];
byte word_b[CAPACITY];

byte truth[LAST + 2]; /* what was completed under each sequence; 0: nothing yet */
byte completed;       /* how many publishes were completed */
bool at_rest;         /* the producer will do no more */
byte hint;            /* live.last_seq: may trail */

/* The successor's look (bus/writer.c): the greatest complete sequence in any slot. */
inline newest_by_scan(out)
{
    i = 0;
    out = 0;
    do
    :: i < CAPACITY ->
        if
#ifdef MUTANT_RESTART_TAKES_BUSY
        :: NAMED(seq[i]) > out -> out = NAMED(seq[i])
#else
        :: seq[i] < BUSY && seq[i] > out -> out = seq[i]
#endif
        :: else
        fi;
        i++
    :: else -> break
    od
}

/* bus/reader.c, reached(): was s completed, now or ever? One look at one slot. */
#define LOOK(s, yes)                                                                               \
    atomic {                                                                                       \
        seen = seq[AT(s)];                                                                         \
        yes = (s) == 0 || seen == (s) || NAMED(seen) > (s);                                        \
        seen = 0                                                                                   \
    }

/*
 * tb_reader_newest: from the better of two hints, steps that double, then halve. Others go on
 * meanwhile: each look is a step of its own.
 */
inline newest_by_search(out)
{
    out = hint;
    LOOK(out, yes);
    if
    :: !yes -> out = 0
    :: else
    fi;
    if
    :: cursor - 1 > out ->
        LOOK(cursor - 1, yes);
        if
        :: yes -> out = cursor - 1
        :: else
        fi
    :: else
    fi;
    stride = 1;
    do
    :: LOOK(out + stride, yes);
        if
        :: yes -> out = out + stride; stride = 2 * stride
        :: else -> break
        fi
    od;
    do
    :: stride > 1 ->
        stride = stride / 2;
        LOOK(out + stride, yes);
        if
        :: yes -> out = out + stride
        :: else
        fi
    :: else -> break
    od;
    yes = false;
    stride = 0
}

/* May the producer die here? Each label is such a place. */
#define MAY_DIE                                                                                    \
    if                                                                                             \
    :: deaths < DEATHS -> deaths++; goto died                                                      \
    :: true                                                                                        \
    fi

proctype producer()
{
    byte next = 1, life = 0, deaths = 0, i;

alive:
    do
    :: next <= LAST ->
        i = AT(next);
#ifndef MUTANT_P1_REMOVED
#ifndef MUTANT_P1_AFTER_WORDS
#ifdef MUTANT_P1_UNMARKED
        seq[i] = next; /* P1 */
#else
        seq[i] = BUSY + next; /* P1 */
#endif
        MAY_DIE;
#endif
#endif
#ifdef MUTANT_P4_FIRST
        seq[i] = next;
#endif
        word_a[i] = WORDS(next, life); /* P3 */
        MAY_DIE;
        word_b[i] = WORDS(next, life);
        MAY_DIE;
#ifdef MUTANT_P1_AFTER_WORDS
        seq[i] = BUSY + next;
#endif
        atomic { /* P4, and the ghost that remembers it */
            seq[i] = next;
            assert(truth[next] == 0); /* one story */
            truth[next] = WORDS(next, life);
            completed++;
            assert(completed == next); /* no hole */
        }
        next++;
        if /* housekeeping comes now and then */
        :: hint = next - 1
        :: true
        fi;
        MAY_DIE
    :: else -> break
    od;
    goto rest;

died: /* the process is gone; what it left in memory stays */
    if
    :: life++;
#ifdef MUTANT_RESTART_AT_HINT
        next = hint + 1;
#else
        newest_by_scan(next);
        next++;
#endif
        goto alive
    :: true /* nobody starts it again */
    fi;
rest:
    at_rest = true
}

proctype reader()
{
    byte cursor = 1, first = 1, lost = 0, read = 0;
    byte seen, a, b, c, d, fresh, stride;
    bool yes;
    bool quiet; /* the producer was at rest before we looked */

    do
    :: cursor > LAST -> break
    :: else ->
        fresh = 0;
        quiet = at_rest;
        if /* a run of two in place, found by its last slot, confirmed by its first; or a single */
        :: AT(cursor) + 1 < CAPACITY && cursor < LAST ->
#ifdef MUTANT_RUN_BY_ITS_FIRST
            seen = seq[AT(cursor)] + 1; /* R1 */
#else
            seen = seq[AT(cursor + 1)]; /* R1 */
#endif
            if
            :: seen == cursor + 1 ->
                a = word_a[AT(cursor)]; /* R2 */
                b = word_b[AT(cursor)];
                c = word_a[AT(cursor + 1)];
                d = word_b[AT(cursor + 1)];
#ifdef MUTANT_RUN_CONFIRMED_BY_ITS_LAST
                seen = seq[AT(cursor + 1)] - 1;
#else
                seen = seq[AT(cursor)]; /* R4 */
#endif
                if
                :: seen == cursor ->
                    atomic {
                        assert(a == b && truth[cursor] == a);
                        assert(c == d && truth[cursor + 1] == c);
                        a = 0; b = 0; c = 0; d = 0; seen = 0;
                        read = read + 2;
                        cursor = cursor + 2
                    };
                    goto counted
                :: else -> a = 0; b = 0; c = 0; d = 0; goto lapped
                fi
            :: else
            fi
        :: true
        fi;
        seen = seq[AT(cursor)]; /* R1 */
        if
        :: seen == cursor ->
            a = word_a[AT(cursor)]; /* R2 */
            b = word_b[AT(cursor)];
#ifdef MUTANT_R4_REMOVED
            seen = cursor;
#else
            seen = seq[AT(cursor)]; /* R4 */
#endif
            if
            :: seen == cursor ->
                atomic {
                    assert(a == b && truth[cursor] == a); /* whole, asked for, one story */
                    read++;
                    cursor++
                }
            :: else -> goto lapped
            fi
#ifdef MUTANT_JUDGE_IGNORES_BUSY
        :: seen != cursor && seen < BUSY && seen > cursor ->
#else
        :: seen != cursor && NAMED(seen) > cursor ->
#endif
lapped:
            newest_by_search(fresh);
#ifdef MUTANT_RESYNC_TO_OLDEST
            fresh = (fresh > CAPACITY -> fresh - CAPACITY + 1 : 1);
#else
            fresh = (fresh > KEEP -> fresh - KEEP + 1 : 1);
#endif
            if
            :: fresh > cursor ->
                atomic {
#ifdef MUTANT_LOST_MISCOUNTED
                    lost = lost + fresh - cursor - 1;
#else
                    lost = lost + fresh - cursor;
#endif
                    cursor = fresh
                }
            :: else -> assert(!quiet) /* not stuck: no progress only if it is still moving */
            fi
        :: else ->
            /* EMPTY: nothing complete may be at or after the cursor once the producer is at rest. */
            if
            :: quiet -> assert(cursor > completed); break
            :: else
            fi
        fi;
counted:
        assert(read + lost == cursor - first) /* account */
    od;
    assert(read + lost == cursor - first);
    assert(cursor == completed + 1) /* the end was reached */
}

init
{
    atomic {
        run producer();
        run reader();
#if READERS > 1
        run reader()
#endif
    }
}
