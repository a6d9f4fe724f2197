/*
 * Parking and waking (bus/wait.c, whose labels these are): nobody sleeps while a record that he
 * waits for is there. Spin reports a reader that sleeps for ever as an invalid end state; timeouts,
 * which would hide it, are left out. Every reader waits for any of STREAMS streams, as tb_readers_wait does.
 *
 * W2 and W3 are ck_ec32_add in its multi-producer mode: fetch-and-add, and only if the old value had the
 * flag: clear it, then wake all. Between these steps anything may happen.
 */
#ifndef STREAMS
#define STREAMS 1
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef RECORDS
#define RECORDS 3
#endif

#define FLAG 128 /* bit 31 of the real word */
#define COUNT(w) ((w) & 127)
#define EVERYTHING (STREAMS * RECORDS)

byte events[STREAMS];
byte published[STREAMS];
bool asleep[READERS];

inline wake(word)
{
    /* FUTEX_WAKE: all who sleep on this word. Here every sleeper sleeps on every word. */
    atomic {
        n = 0;
        do
        :: n < READERS ->
#ifdef MUTANT_WAKE_ONE
            if
            :: asleep[n] -> asleep[n] = false; break
            :: else
            fi;
#else
            asleep[n] = false;
#endif
            n++
        :: else -> break
        od;
        n = 0
    }
}

proctype producer(byte s)
{
    byte old, n, count;

    do
    :: count < RECORDS ->
        count++;
#ifndef MUTANT_WAKE_BEFORE_PUBLISH
        published[s]++; /* W1 */
#endif
        atomic { /* W2: one instruction */
            old = events[s];
#ifndef MUTANT_NO_INCREMENT
            events[s] = (old & FLAG) + ((COUNT(old) + 1) & 127)
#endif
        };
        if /* W3 */
        :: old & FLAG ->
#ifdef MUTANT_CLEAR_AFTER_WAKE
            wake(s);
            events[s] = COUNT(events[s])
#else
            events[s] = COUNT(events[s]); /* one instruction: ck_pr_and_32 */
            wake(s)
#endif
        :: else
        fi;
#ifdef MUTANT_WAKE_BEFORE_PUBLISH
        published[s]++;
#endif
    :: else -> break
    od
}

proctype reader(byte me)
{
    byte value[STREAMS];
    byte read[STREAMS];
    byte total, s;
    bool ready, armed;

    do
    :: total == EVERYTHING -> break
    :: else ->
        /* Read what is there. */
        s = 0;
        do
        :: s < STREAMS ->
            do
            :: read[s] < published[s] -> atomic { read[s]++; total++ }
            :: else -> break
            od;
            s++
        :: else -> break
        od;
        if
        :: total == EVERYTHING -> break
        :: else
        fi;

#ifdef MUTANT_LOOK_BEFORE_COUNT
        goto counted; /* S1 moved behind S2 */
look:
#endif
        s = 0;
        do
        :: s < STREAMS -> value[s] = COUNT(events[s]); s++ /* S1 */
        :: else -> break
        od;
#ifdef MUTANT_LOOK_BEFORE_COUNT
        goto arm;
counted:
#endif
        s = 0;
        ready = false;
#ifndef MUTANT_NO_LOOK
        do
        :: s < STREAMS -> ready = ready || read[s] < published[s]; s++ /* S2 */
        :: else -> break
        od;
#endif
        if
        :: ready -> goto again
        :: else
        fi;
#ifdef MUTANT_LOOK_BEFORE_COUNT
        goto look;
arm:
#endif
        s = 0;
        armed = true;
        do
        :: s < STREAMS && armed ->
#ifdef MUTANT_ARM_BY_STORE
            events[s] = value[s] + FLAG;
#else
#ifndef MUTANT_NO_FLAG
            atomic { /* S3: a compare and swap; armed by another reader already is as good */
                if
                :: events[s] == value[s] -> events[s] = value[s] + FLAG
                :: events[s] == value[s] + FLAG
                :: else -> armed = false
                fi
            };
#endif
#endif
            s++
        :: else -> break
        od;
        if
        :: !armed -> goto again
        :: else
        fi;
        atomic { /* S4: the kernel compares and goes to sleep in one step */
            s = 0;
            ready = false;
#ifndef MUTANT_SLEEP_WITHOUT_COMPARE
            do
            :: s < STREAMS ->
#ifdef MUTANT_NO_FLAG
                ready = ready || COUNT(events[s]) != value[s];
#else
                ready = ready || events[s] != value[s] + FLAG;
#endif
                s++
            :: else -> break
            od;
#endif
            asleep[me] = !ready
        };
        !asleep[me]; /* where a lost wake-up would leave us */
again:
        skip
    od
}

init
{
    byte i;
    atomic {
        do
        :: i < STREAMS -> run producer(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < READERS -> run reader(i); i++
        :: else -> break
        od
    }
}
