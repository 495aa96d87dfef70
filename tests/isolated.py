"""What isolated children do in tests."""

import ctypes
import os
import signal
import time


def work(item):
    """Return the item, or do what it says before."""
    if item == "segfault":
        ctypes.string_at(0)
    elif item == "abort":
        os.abort()
    elif item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif item == "exit":
        os._exit(3)
    elif item == "loop":
        while True:
            pass
    elif item == "no timer":
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(600)
    elif item == "sleep":
        time.sleep(600)
    elif item == "nap":
        time.sleep(0.05)
    elif item == "pid":
        return os.getpid()
    elif item == "large":
        return bytes(5_000_000)
    elif item == "fault":
        raise KeyError(item)
    elif item == "noise":
        os.write(1, b"said to 1\n")
        os.write(2, b"said to 2\n")
    elif item == "gigabyte":
        try:
            bytes(2**30)
        except MemoryError:
            return "MemoryError"
    return item
