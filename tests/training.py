"""`python training.py SCENARIO=FOLDER …`: run the finetune stage of folders that hold settings.pickle.

killed: kill it again and again, until a run gets through.
together: two processes train together, as torchrun starts them; each leaves its weights and the rows it was shown.
norms: the same.
failing: the same, but one of the two can't read its pictures.

Runs are forked from this process, which computes nothing itself, so that none pays for the imports. Each folder gets
a file `status`: the greatest exit status of its processes.
"""

import json
import os
import pickle
import random
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from pipeline import artifacts
from pipeline.backbone import inputs, models, train
from pipeline.stages import finetune


def start(function, *args):
    """Process id of a fork that runs the function."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function(*args)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


def run():
    """The stage."""
    finetune.run(pickle.loads(Path("settings.pickle").read_bytes()))


def end(pid):
    """Its exit status, negative if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def checkpoints():
    """The files by name and inode."""
    found = set()
    for path in artifacts.CHECKPOINTS.glob("*.pt"):
        with suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_ino))
    return found


def killed():
    """Kill soon after an epoch is done and start again, until a run gets through; `left` lists what each left."""
    moments = random.Random(0)
    with Path("left").open("w") as left:
        while True:
            before, pid = checkpoints(), start(run)
            while checkpoints() == before and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
            if (status := end(pid)) >= 0:
                return status
            print(*(name for name, _ in checkpoints()), file=left, flush=True)


def pair(fails):
    """Two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return max([end(pid) for pid in [start(together, rank, port, fails) for rank in range(2)]])


def together(rank, port, fails):
    """One of two processes."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    trained, take, shown = train.train, artifacts.Pictures.take, []

    def watched(pictures, rows):
        if fails and rank == 1 and len(shown) == 3:
            raise OSError("the disk is gone")
        shown.append(rows)
        return take(pictures, rows)

    def kept(*args, **options):
        model, history = trained(*args, **options)
        Path(f"weights-{rank}").write_bytes(models.to_bytes(model))
        Path(f"shown-{rank}.json").write_text(json.dumps([rows.tolist() for rows in shown]))
        return model, history

    artifacts.Pictures.take, train.train = watched, kept
    inputs.has_bf16 = lambda where: False  # its rounding depends on the size of a batch
    run()


def main(*given):
    """One scenario after the other."""
    torch.set_num_threads(1)
    finetune.SOURCES = []  # a source that is edited during the test is no fault
    scenarios = {
        "killed": killed,
        "together": partial(pair, False),
        "norms": partial(pair, False),
        "failing": partial(pair, True),
    }
    for name, folder in (one.split("=") for one in given):
        os.chdir(folder)
        Path("status").write_text(str(scenarios[name]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
