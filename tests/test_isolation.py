import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from imports import ROOT
from isolated import work

from pipeline import isolation
from pipeline.isolation import Died, Isolated, TimedOut

MEMORY = 2**31


def outcomes(*items, timeout=20.0, memory=MEMORY):
    with Isolated(work, timeout, memory) as isolated:
        return list(isolated.map(items))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_results_come_in_the_order_of_the_items():
    assert outcomes(*range(1000)) == list(range(1000))


def test_no_items_start_no_child():
    with Isolated(work, 1.0, MEMORY) as isolated:
        assert list(isolated.map([])) == []
        assert isolated._all == []


@pytest.mark.parametrize(
    ("item", "how"),
    [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("kill", "SIGKILL"), ("exit", "exit code 3")],
)
def test_a_child_that_dies_costs_the_item_that_killed_it(item, how):
    assert outcomes(0, 1, item, 2, item, item, 3) == [0, 1, Died(how), 2, Died(how), Died(how), 3]


def test_an_endless_loop_costs_its_item_and_the_time_of_no_other():
    assert outcomes(0, "loop", 1, "sleep", 2, timeout=0.3) == [0, TimedOut(0.3), 1, TimedOut(0.3), 2]


def test_many_quick_items_may_take_longer_than_the_limit_of_one():
    assert outcomes(*["nap"] * 8, timeout=0.2) == ["nap"] * 8


def test_a_slow_reader_takes_no_time_from_an_item():
    with Isolated(work, 0.2, MEMORY) as isolated:
        for result in isolated.map(["large"] * 3):
            assert len(result) == 5_000_000
            time.sleep(0.3)


def test_an_exception_of_the_function_is_raised_here():
    with Isolated(work, 1.0, MEMORY) as isolated, pytest.raises(KeyError, match="fault"):
        list(isolated.map([0, "fault"]))


def test_memory_beyond_the_limit_is_refused_and_the_next_item_has_it_again():
    assert outcomes("gigabyte", 1, memory=2**29) == ["MemoryError", 1]
    assert outcomes("gigabyte", memory=2**31) == ["gigabyte"]


def test_a_child_is_used_again():
    with Isolated(work, 1.0, MEMORY) as isolated:
        first, second = (next(isolated.map(["pid"])) for _ in range(2))
        assert first == second != os.getpid()


def test_a_map_that_is_left_half_way_spoils_no_other():
    with Isolated(work, 20.0, MEMORY) as isolated:
        for result in isolated.map(["pid", *range(100)]):
            left = result
            break
        wait_for(lambda: not alive(left))
        assert list(isolated.map([1, 2])) == [1, 2]


def test_a_child_that_ends_while_it_is_idle_costs_no_item():
    with Isolated(work, 20.0, MEMORY) as isolated:
        (pid,) = isolated.map(["pid"])
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid))
        assert list(isolated.map([1])) == [1]


def test_a_child_whose_end_while_it_was_idle_is_not_known_yet_costs_no_item(monkeypatch):
    monkeypatch.setattr(isolation._Child, "is_alive", lambda _: True)
    with Isolated(work, 20.0, MEMORY) as isolated:
        (pid,) = isolated.map(["pid"])
        os.kill(pid, signal.SIGKILL)
        assert list(isolated.map([1, "kill", 2])) == [1, Died("SIGKILL"), 2]


def test_an_item_that_ends_an_idle_child_and_a_fresh_one_is_to_blame():
    with Isolated(work, 20.0, MEMORY) as isolated:
        assert list(isolated.map([1])) == [1]
        assert list(isolated.map(["kill", 2])) == [Died("SIGKILL"), 2]


def test_threads_have_a_child_each():
    with Isolated(work, 20.0, MEMORY) as isolated:
        found = {}
        threads = [
            threading.Thread(target=lambda n=n: found.update({n: list(isolated.map(["pid", n, "kill", n]))}))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {n: results[1:] for n, results in found.items()} == {n: [n, Died("SIGKILL"), n] for n in range(4)}
        assert len({results[0] for results in found.values()}) == 4


def test_children_end_with_the_context_and_no_item_is_blamed():
    errors = []
    with Isolated(work, 20.0, MEMORY) as isolated:
        (idle,) = isolated.map(["pid"])
        busy = isolated.map(["pid", "sleep"])

        def rest():
            try:
                list(busy)
            except RuntimeError as error:
                errors.append(str(error))

        at_work = next(busy)
        thread = threading.Thread(target=rest)
        thread.start()
    thread.join(10)
    assert errors == ["the children were ended meanwhile"]
    assert not alive(at_work)
    assert not alive(idle)
    with pytest.raises(RuntimeError, match="ended already"):
        list(isolated.map([1]))


def test_it_travels_without_its_children():
    with Isolated(work, 20.0, MEMORY) as isolated:
        list(isolated.map([0]))
        copy = pickle.loads(pickle.dumps(isolated))
    with copy:
        assert list(copy.map([1])) == [1]


def test_where_there_is_no_fork_server_children_are_spawned(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert outcomes(0, "exit", 1) == [0, Died("exit code 3"), 1]


def test_where_the_child_has_no_timer_it_is_ended_from_here(monkeypatch):
    monkeypatch.setattr(isolation, "GRACE", 0.1)
    assert outcomes("no timer", 1, timeout=0.1) == [TimedOut(0.1), 1]


SCRIPT = """
import signal, sys
from pipeline.isolation import Isolated
from isolated import work
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background inherits deaf ears
    with Isolated(work, 2.0, 2**31) as isolated:
        for result in isolated.map(["pid", "noise", *sys.argv[1:]]):
            print(result, flush=True)
"""


def script(tmp_path, *items):
    (tmp_path / "script.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, tmp_path / "script.py", *items],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        start_new_session=True,
    )


def test_what_a_decoder_prints_reaches_no_terminal(tmp_path):
    out, err = script(tmp_path).communicate(timeout=30)
    assert out.split()[1:] == ["noise"]
    assert err == ""


@pytest.mark.parametrize("item", ["loop", "sleep"])
def test_a_child_ends_by_itself_when_its_parent_is_killed(tmp_path, item):
    parent = script(tmp_path, item)
    child = int(parent.stdout.readline())
    parent.stdout.readline()
    parent.kill()
    parent.communicate()
    wait_for(lambda: not alive(child))


def test_an_interrupt_at_the_terminal_ends_all_with_one_traceback(tmp_path):
    parent = script(tmp_path, "nap", "sleep")
    child = int(parent.stdout.readline())
    parent.stdout.readline()
    parent.stdout.readline()
    os.killpg(parent.pid, signal.SIGINT)
    _, err = parent.communicate(timeout=10)
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: not alive(child), 1.0)


@pytest.mark.parametrize(
    ("limits", "children", "share"),
    [
        (["max"], 2, 12 * 2**30),
        ([str(2**33)], 2, 3 * 2**30),
        ([str(2**33)], 64, 2**30),
        (["", "9" * 20], 1, 24 * 2**30),
    ],
)
def test_children_share_three_quarters_of_the_memory(monkeypatch, tmp_path, limits, children, share):
    paths = [tmp_path / str(number) for number in range(len(limits))]
    for path, limit in zip(paths, limits, strict=True):
        path.write_text(limit)
    monkeypatch.setattr(isolation, "CGROUP_LIMITS", (*paths, tmp_path / "absent"))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PHYS_PAGES": 2**23, "SC_PAGE_SIZE": 2**12}[name])
    assert isolation.share_of_memory(children) == share
