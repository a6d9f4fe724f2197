#!/usr/bin/env python3
"""The service skeleton: what every process on a bus does by itself, proved with two model services.

model_make publishes records that are a function of their sequence; model_sum keeps sums of them and
publishes pairs. The whole output can therefore be computed here, whatever happened to the processes.
"""
import os
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from buslook import BUILD, Bus, Failed, check, end, log_of, run_tests, stop, until  # noqa: E402

SEED = int(os.environ.get("TB_SEED", str(random.SystemRandom().randrange(1 << 32))))
print("seed", SEED)
MAKE, SUM = "tests/model_make", "tests/model_sum"


def size_of(seq):
    return (seq * 2654435761 & 0xffffffffffffffff) & 0xffff


def check_pairs(ring, inputs, counts):
    """Every pair that must be there is, once, whole, in order, with the right sum."""
    place = {i: 0 for i in range(inputs)}
    sums = {i: 0 for i in range(inputs)}
    records = [struct.unpack_from("<Qqq H BB I 4Q", r) for r in ring.records]
    check(records and records[0][0] == 1, "the output begins at", records[0][0] if records else None)
    for i in range(0, len(records), 2):
        first, second = records[i][7:], records[i + 1][7:] if i + 1 < len(records) else None
        check(second is not None and first[1] == 0 and second[1] == 1 and first[0] == second[0] and
              first[2:] == second[2:], "not a pair at", records[i][0], first, second)
        which, _, seq, total = first
        check(seq == place[which] + 3, "input", which, "went from", place[which], "to", seq)
        sums[which] += sum(size_of(k) for k in range(place[which] + 1, seq + 1))
        check(total == sums[which] & 0xffffffffffffffff, "sum at", which, seq, total, sums[which])
        place[which] = seq
    for i in range(inputs):
        check(place[i] == counts[i] // 3 * 3, "input", i, "ends at", place[i], "of", counts[i])


def killed_at_random_it_is_as_if_it_never_died():
    rng = random.Random(SEED)
    count, rounds = 48000, 60 # 64,000 records come of it: the ring holds all
    with Bus() as bus:
        makes = [[MAKE, "--stream=" + s, "--name=make-" + s, "--pace=gated", "--gates=sum", "--count=%d" % count,
                  "--burst=25"] for s in "ab"]
        sums = [SUM, "--streams=a,b", "--until-done", "--moody", "--capacity=65536"]
        commands = {"a": makes[0], "b": makes[1], "sum": sums}
        running = {k: bus.start(*c) for k, c in commands.items()}
        kills = 0
        while kills < rounds:
            time.sleep(rng.uniform(0.001, 0.04))
            victim = rng.choice(["a", "b", "sum", "sum"])
            p = running[victim]
            if p.poll() is not None:
                check(p.returncode == 0, victim, "ended with", p.returncode, log_of(p))
                if all(q.poll() is not None for q in running.values()):
                    raise Failed("all was over after %d kills: more records are needed" % kills)
                continue
            p.kill()
            p.wait()
            kills += 1
            running[victim] = bus.start(*commands[victim])
        for p in running.values():
            end(p, deadline=60)
        check_pairs(bus.ring("sums"), 2, [count, count])
        check(bus.ring("sums").state == "done", "state", bus.ring("sums").state)


POINTS = ["publish:after_P1", "publish:in_P3", "publish:before_P4", "publish:after_P4", "checkpoint:before_commit",
          "checkpoint:after_commit", "service:after_records", "service:before_publish", "service:before_release"]


def killed_at_labelled_points():
    """Only in a build with -DTB_POINTS=ON."""
    with Bus() as bus:
        probe = bus.start(MAKE, "--count=5", env=dict(os.environ, TB_POINT="publish:after_P1:1"))
        if probe.wait(20) == 0:
            print("      this build has no kill points")
            return
    with Bus() as bus:
        count = 48000
        command = [SUM, "--streams=a,b", "--until-done", "--moody", "--capacity=65536"]
        makes = [bus.start(MAKE, "--stream=" + s, "--name=make-" + s, "--pace=gated", "--gates=sum",
                           "--count=%d" % count, "--burst=40") for s in "ab"]
        kills = 0
        for times in (1, 2, 13, 200):
            for point in POINTS:
                p = bus.start(*command, env=dict(os.environ, TB_POINT="%s:%d" % (point, times)))
                code = p.wait(60)
                check(code in (0, -signal.SIGKILL), point, "exit", code, log_of(p))
                kills += code != 0
        check(kills > 20, "only", kills, "kills")
        end(bus.start(*command), deadline=60)
        for p in makes:
            end(p)
        check_pairs(bus.ring("sums"), 2, [count, count])


def a_chain_ends_by_itself():
    with Bus() as bus:
        last = bus.start(SUM, "--name=second", "--streams=sums", "--stream=sums2", "--until-done")
        middle = bus.start(SUM, "--streams=made", "--until-done")
        end(bus.start(MAKE, "--count=999", "--pace=gated", "--gates=sum"))
        end(middle)
        end(last)
        check([bus.ring(s).state for s in ("made", "sums", "sums2")] == ["done"] * 3, "not all done")
        check(bus.stats("second").counters["records_read"] == 666, bus.stats("second").counters)


def done_of_an_earlier_run_does_not_end_a_new_one():
    with Bus() as bus:
        end(bus.start(MAKE, "--count=90"))
        p = bus.start(SUM, "--streams=made", "--until-done", "--done-after=%d" % time.time_ns())
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read") == 90, "all read")
        time.sleep(0.3)
        check(p.poll() is None, "it ended with the producer of before")
        end(bus.start(MAKE, "--count=120"))
        end(p)
        check(bus.stats("sum").counters["records_read"] == 120, bus.stats("sum").counters)


def an_overrun_is_reported_exactly():
    with Bus() as bus:
        make = bus.start(MAKE, "--capacity=256", "--burst=200")
        p = bus.start(SUM, "--streams=made", "--slow=20ms", "--until-done")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("overruns", 0) > 3, "overruns")
        p.send_signal(signal.SIGSTOP)
        before = bus.ring("made").records[-1]
        until(lambda: struct.unpack_from("<Q", bus.ring("made").records[-1])[0] >
              struct.unpack_from("<Q", before)[0] + 1000, "the producer goes on")
        p.send_signal(signal.SIGCONT)
        stop(make)
        stop(p, 75)
        c = bus.stats("sum").counters
        check(c["records_lost"] == c["told_lost"] > 1000, c)
        last = struct.unpack_from("<Q", bus.ring("made").records[-1])[0]
        attached = int(log_of(p).split("ev=attached")[1].split("seq=")[1].split()[0])
        check(c["records_read"] + c["records_lost"] == last - attached + 1, c, "last", last, "from", attached)


def no_stream_within_the_attach_timeout():
    with Bus() as bus:
        p = bus.start(SUM, "--streams=never", "--attach-timeout=200ms")
        until(lambda: bus.stats("sum") and bus.stats("sum").state == "waiting", "state waiting")
        end(p, 69)
        check("ev=attach_timeout stream=never" in log_of(p), log_of(p))


def a_ring_cut_short_is_one_line_and_the_others_go_on():
    with Bus() as bus:
        a = bus.start(MAKE, "--stream=a", "--name=make-a")
        bus.start(MAKE, "--stream=b", "--name=make-b")
        until(lambda: all(os.path.exists(bus.path(s + ".ring")) for s in "ab"), "the rings")  # else it says that it waits
        p = bus.start(SUM, "--streams=a,b")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read", 0) > 500, "reading")
        a.kill()
        a.wait()
        os.truncate(bus.path("a.ring"), 4096)
        until(lambda: "ev=stream_broken" in log_of(p), "the line")
        until(lambda: bus.stats("sum").state == "degraded", "degraded")
        read = bus.stats("sum").counters["records_read"]
        until(lambda: bus.stats("sum").counters["records_read"] > read + 500, "b goes on")
        check(log_of(p).count("stream=a") == 2, "one line of attaching, one of breaking:\n" + log_of(p))
        bus.start(MAKE, "--stream=a", "--name=make-a")
        until(lambda: "new_epoch=true" in log_of(p), "attached again")
        until(lambda: bus.stats("sum").state == "running", "running again")
        stop(p)


def a_full_bus_is_told_and_got_over():
    if not os.environ.get("TICKBUS_IN_NAMESPACE"): # again, where we may mount
        if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode != 0:
            print("      no user namespaces here")
            return
        r = subprocess.run(["unshare", "-Urm", sys.executable, os.path.abspath(__file__), "a_full_bus_is_told_and_got_over"],
                           env=dict(os.environ, TICKBUS_IN_NAMESPACE="1"), capture_output=True, text=True, check=False)
        check(r.returncode == 0, r.stdout + r.stderr)
        return
    with Bus() as logs, Bus() as bus:
        log = os.path.join(logs.base, "log")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", bus.base], check=True)
        try:
            end(bus.start(MAKE, "--count=100", log=log))
            end(bus.start(SUM, "--streams=made", "--capacity=1024", "--until-done", log=log))
            os.unlink(bus.path("sum.state"))
            ballast = bus.path("ballast")
            with open(ballast, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 4096)
                except OSError:
                    f.truncate(f.tell() - 4096) # the header of a checkpoint, and no more
            p = bus.start(SUM, "--streams=made", "--capacity=1024", "--until-done", log=log)
            until(lambda: bus.stats("sum").pid == p.pid and bus.stats("sum").state == "degraded", "degraded")
            check("no room" in bus.stats("sum").note, bus.stats("sum").note)
            check(log_of(p).count("ev=no_checkpoint") == 1, log_of(p))
            os.unlink(ballast)
            end(p)
            check(bus.stats("sum").counters["records_read"] == 100, bus.stats("sum").counters)
        finally:
            for p in bus.processes:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            subprocess.run(["umount", "-l", bus.base], check=False)


def a_new_epoch_is_followed():
    with Bus() as bus:
        end(bus.start(MAKE, "--count=100"))
        p = bus.start(SUM, "--streams=made")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read") == 100, "the first epoch")
        end(bus.start(MAKE, "--count=50", "--new-epoch"))
        until(lambda: bus.stats("sum").counters["records_read"] == 150, "the second epoch")
        check(bus.stats("sum").counters["new_epochs"] == 1, bus.stats("sum").counters)
        p.kill()
        p.wait()
        end(bus.start(MAKE, "--count=30", "--new-epoch"))
        p = bus.start(SUM, "--streams=made")
        until(lambda: bus.stats("sum").counters.get("records_read") == 30, "the third epoch")
        check(bus.stats("sum").counters["new_epochs"] == 2, bus.stats("sum").counters)
        stop(p)


def what_is_lost_at_the_end_of_an_epoch_is_counted():
    """The ring laps the reader and is then replaced, all between its look and its housekeeping."""
    with Bus() as bus:
        end(bus.start(MAKE, "--count=40", "--capacity=64"))
        p = bus.start(SUM, "--streams=made", "--pause=400ms")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read") == 40, "all read")
        end(bus.start(MAKE, "--count=1000", "--burst=1000", "--capacity=64"))
        end(bus.start(MAKE, "--count=50", "--new-epoch", "--capacity=64"))
        until(lambda: "new_epoch=true" in log_of(p), "attached again")
        until(lambda: bus.stats("sum").counters["records_read"] >= 90, "the second epoch")
        stop(p)
        c = bus.stats("sum").counters
        check(c["records_read"] + c["records_lost"] == 1050 and c["told_lost"] == c["records_lost"], c)


def a_damaged_slot_is_one_line_until_the_ring_is_made_anew():
    with Bus() as bus:
        end(bus.start(MAKE, "--count=100", "--capacity=64"))
        p = bus.start(SUM, "--streams=made")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("lag_made") == 0 and
              bus.stats("sum").counters["records_read"] > 60, "all read")
        with open(bus.path("made.ring"), "r+b") as f:
            f.seek(4096 + 1024 * 192 + (101 & 63) * 64)
            f.write(struct.pack("<Q", 101 + 64))
        until(lambda: "ev=stream_broken" in log_of(p), "the line")
        begun = bus.stats("sum").cpu_ns
        time.sleep(0.5)
        check(log_of(p).count("ev=stream_broken") == 1 and log_of(p).count("ev=attached") == 1, log_of(p))
        check(bus.stats("sum").state == "degraded", bus.stats("sum").state)
        check(bus.stats("sum").cpu_ns - begun < 100_000_000, "busy with a broken ring")
        end(bus.start(MAKE, "--count=50", "--capacity=64"))
        until(lambda: "new_epoch=true" in log_of(p), "attached again")
        stop(p)


def a_new_output_ring_gets_each_record_once():
    """Its maker died before the first checkpoint that knows of the new ring."""
    with Bus() as bus:
        end(bus.start(MAKE, "--count=300", "--capacity=4096"))
        p = bus.start(SUM, "--streams=made")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read") == 300, "the first life")
        stop(p)
        end(bus.start(MAKE, "--count=600", "--capacity=4096"))
        p = bus.start(SUM, "--streams=made", "--capacity=4096", "--unsaved")
        until(lambda: bus.stats("sum").pid == p.pid and bus.stats("sum").counters.get("records_read") == 300,
              "the second life")
        p.kill()
        p.wait()
        end(bus.start(MAKE, "--count=900", "--capacity=4096"))
        end(bus.start(SUM, "--streams=made", "--capacity=4096", "--until-done"))
        made_of = [struct.unpack_from("<4Q", r, 32)[2] for r in bus.ring("sums").records]
        check(made_of == [k for k in range(303, 901, 3) for _ in range(2)], len(made_of), made_of[:4], made_of[-4:])


def what_is_lost_while_it_was_dead_doubles_nothing():
    """The ring has lapped the checkpoint: reading goes on behind everything that outputs were made of."""
    with Bus() as bus:
        end(bus.start(MAKE, "--count=40", "--capacity=64"))
        p = bus.start(SUM, "--streams=made", "--until-done")
        end(p)
        end(bus.start(MAKE, "--count=104", "--capacity=64"))
        p = bus.start(SUM, "--streams=made", "--slow=1s")
        until(lambda: len(bus.ring("sums").records) > 26, "outputs of the first batch")
        p.kill()
        p.wait()
        end(bus.start(MAKE, "--count=120", "--capacity=64"))
        end(bus.start(SUM, "--streams=made", "--until-done"), 75)
        made_of = [struct.unpack_from("<4Q", r, 32)[2:0:-1] for r in bus.ring("sums").records]
        check(made_of == sorted(set(made_of)), made_of)


def sigterm_drains_and_ends():
    with Bus() as bus:
        make = bus.start(MAKE, "--capacity=65536")  # it must not be lapped before it begins
        p = bus.start(SUM, "--streams=made")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read", 0) > 500, "reading")
        stop(make)
        begun = time.monotonic()
        stop(p, deadline=5)
        check(time.monotonic() - begun < 1, "took", time.monotonic() - begun)
        last = struct.unpack_from("<Q", bus.ring("made").records[-1])[0]
        check(bus.stats("sum").counters["records_read"] == last, "what was there was not read", last)
        check(bus.stats("sum").state == "stopped" and bus.ring("sums").state == "stopped", "states")
        check_pairs(bus.ring("sums"), 1, [last])


def a_second_sigterm_stops_at_once():
    with Bus() as bus:
        p = bus.start(MAKE, "--stubborn")
        until(lambda: bus.stats("make") and bus.stats("make").state == "running", "running")
        p.send_signal(signal.SIGTERM)
        until(lambda: bus.stats("make").state == "draining", "draining")
        check(p.poll() is None, "it did not drain")
        stop(p, 74, deadline=2)


def a_drain_that_never_ends_has_a_deadline():
    with Bus() as bus:
        p = bus.start(MAKE, "--stubborn", "--drain-timeout=200ms")
        until(lambda: bus.stats("make") and bus.stats("make").state == "running", "running")
        stop(p, 74, deadline=3)


def a_gated_wait_ends_when_asked():
    with Bus() as bus:
        p = bus.start(MAKE, "--pace=gated", "--gates=nobody", "--drain-timeout=300ms", "--capacity=64")
        until(lambda: bus.stats("make") and bus.ring("made") and len(bus.ring("made").records) >= 64, "full")
        time.sleep(0.3)
        check(struct.unpack_from("<Q", bus.ring("made").records[-1])[0] == 64, "it did not wait")
        p.send_signal(signal.SIGTERM)
        check(p.wait(3) in (0, 74), "exit", p.returncode)


def idle_costs_nothing():
    with Bus() as bus:
        bus.start(MAKE, "--count=100")
        p = bus.start(SUM, "--streams=made")
        until(lambda: bus.stats("sum") and bus.stats("sum").counters.get("records_read") == 100, "all read")
        until(lambda: bus.stats("sum").state == "running", "running")
        with open("/proc/%d/stat" % p.pid, encoding="ascii") as f:
            before = sum(int(x) for x in f.read().split()[13:15])
        time.sleep(2)
        with open("/proc/%d/stat" % p.pid, encoding="ascii") as f:
            after = sum(int(x) for x in f.read().split()[13:15])
        check(after - before <= 2, "ticks of CPU in 2 s:", after - before)
        stop(p)


def a_second_instance_is_refused_by_name():
    with Bus() as bus:
        first = bus.start(MAKE)
        until(lambda: bus.stats("make") and bus.stats("make").state == "running", "running")
        p = bus.start(MAKE)
        end(p, 69)
        check(str(first.pid) in log_of(p), log_of(p))
        p = bus.start(MAKE, "--name=other")
        end(p, 69)
        check(str(first.pid) in log_of(p), log_of(p))


def notices_reach_the_service_manager():
    import socket
    with Bus() as bus, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.bind(os.path.join(bus.base, "notify"))
        env = dict(os.environ, NOTIFY_SOCKET=os.path.join(bus.base, "notify"), WATCHDOG_USEC="200000")
        p = bus.start(MAKE, env=env)
        seen = set()
        while not {"READY=1", "WATCHDOG=1"} <= seen:
            seen.add(s.recv(4096).decode())
        p.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in seen:
            seen.add(s.recv(4096).decode())
        end(p)


def every_fault_is_listed():
    with Bus() as bus:
        config = os.path.join(bus.base, "c.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("bus: b\nfeeds:\n  x: {}\nservices:\n  sum:\n    slow: 5 sec\n    moodi: true\n"
                    "    checkpoint_every: 1ns\n    capacity: 100\n")
        r = subprocess.run([os.path.join(BUILD, SUM), "--config", config, "--section", "services.sum", "--check-config"],
                           capture_output=True, text=True, check=False)
        check(r.returncode == 78, r.returncode, r.stderr)
        for line in (":6: services.sum.slow: \"5 sec\" is not a duration; write 250ms, 5s, 1m",
                     ":7: services.sum.moodi: is not known; did you mean moody?",
                     ":8: services.sum.checkpoint_every: \"1ns\" is out of range; it may be 1ms .. 1h",
                     "services.sum.capacity: 100 is not a power of two"):
            check(line in r.stderr, line, "is not in\n" + r.stderr)
        r = subprocess.run([os.path.join(BUILD, SUM), "--no-such"], capture_output=True, text=True, check=False)
        check(r.returncode == 64, r.returncode, r.stderr)


def the_command_line_wins_over_the_file():
    with Bus() as bus:
        config = os.path.join(bus.base, "c.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("bus: b\nlog_level: warn\nfeeds:\n  x: {}\n  y: {stream: why}\nservices:\n  mine: {program: sum, slow: 5ms}\n")
        run = lambda *a: subprocess.run([os.path.join(BUILD, SUM), "--config", config, "--section", "services.mine", *a],
                                        capture_output=True, text=True, check=False).stdout
        check(run("--print-streams") == "x\nwhy\n", run("--print-streams"))
        check(run("--print-output") == "sums\n", run("--print-output"))
        check(run("--print-streams", "--streams=a", "--streams=b,c") == "a\nb\nc\n", "lists add up")
        check("\nslow: 5ms  #" in run("--print-config"), run("--print-config"))
        check("\nslow: 7ms  #" in run("--print-config", "--slow", "7ms"), "the command line")
        check("log_level: warn" in run("--print-config"), "top level")


run_tests([v for k, v in list(globals().items())
           if callable(v) and getattr(v, "__module__", "") == "__main__" and
           (k in sys.argv[1:] or not sys.argv[1:]) and
           k not in ("size_of", "check_pairs") and not k.startswith("_") and not isinstance(v, type)])
