"""Tests wait for conditions, never for times."""
import time


def until(condition, what, deadline=20):
    """The condition's first true value, looked at again and again; AssertionError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {deadline} s in vain for {what}"
        time.sleep(0.005)
