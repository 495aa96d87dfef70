"""`python killing.py FOLDER KILLS`: run the pixels stage of a folder and kill it, until so many runs were killed.

FOLDER holds images/, artifacts/ before the runs, and settings.pickle. Each time a run gets through, its store is kept
as done-N/ and the next begins anew. Runs are forked from this process, so that none pays for the imports; decoders are
called in the run itself, which changes nothing about what is written when.
"""

import os
import pickle
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from pipeline.isolation import Isolated
from pipeline.stages import pixels


def start(params):
    """Process id of a new run."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            pixels.run(params)
            code = 0
        finally:
            if code:
                sys.excepthook(*sys.exc_info())
            os._exit(code)
    return pid


def end(pid):
    """Whether a run got through; not if it was killed."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return False
    assert status == 0
    return True


def again():
    """The artifacts as they were before the runs."""
    shutil.rmtree("artifacts", ignore_errors=True)
    shutil.copytree("before", "artifacts")


def main(folder, kills):
    """Print how often a run got through."""
    os.chdir(folder)
    pixels.SOURCES = []  # a source that is edited during the test is no fault
    Isolated.map = lambda self, items: map(self.function, items)
    params = pickle.loads(Path("settings.pickle").read_bytes())
    moments, done, killed = random.Random(0), 0, 0
    again()
    begun = time.monotonic()
    end(start(params))
    length = time.monotonic() - begun
    shutil.copytree("artifacts", "undisturbed")
    again()
    while killed < kills:
        pid = start(params)
        time.sleep(moments.uniform(0, length))
        os.kill(pid, signal.SIGKILL)
        if end(pid):
            shutil.copytree("artifacts", f"done-{done}")
            done += 1
            again()
        else:
            killed += 1
    end(start(params))
    shutil.copytree("artifacts", f"done-{done}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
