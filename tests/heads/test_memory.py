import pytest

from pipeline.heads import memory

GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine with 16 GB to be had, and a process in the group batch/job."""
    (tmp_path / "meminfo").write_text("MemTotal: 32000000 kB\nMemAvailable: 16000000 kB\n")
    (tmp_path / "cgroup").write_text("0::/batch/job\n")
    (tmp_path / "groups/batch/job").mkdir(parents=True)
    for name, path in {"MEMINFO": "meminfo", "OWN_GROUP": "cgroup", "GROUPS": "groups"}.items():
        monkeypatch.setattr(memory, name, tmp_path / path)
    return tmp_path


def limit(system, group, most, used, cached=0):
    folder = system / "groups" / group
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\n")


def test_memory_is_that_of_the_machine_where_no_group_limits_it(system):
    assert memory.available() == 16_000_000 * 1024
    limit(system, "batch/job", "max", 5 * GB)
    assert memory.available() == 16_000_000 * 1024


@pytest.mark.parametrize("group", ["batch/job", "batch", ""])
def test_the_limit_of_a_group_or_of_one_around_it_counts_without_what_only_caches_files(system, group):
    limit(system, group, 8 * GB, 5 * GB, cached=GB)
    assert memory.available() == 4 * GB


def test_the_least_of_all_limits_counts(system):
    limit(system, "batch", 6 * GB, 5 * GB)
    limit(system, "batch/job", 4 * GB, GB)
    assert memory.available() == GB


def test_a_full_group_leaves_nothing(system):
    limit(system, "batch/job", GB, 2 * GB)
    assert memory.available() == 0


def test_memory_is_unbounded_where_the_system_tells_nothing(system):
    (system / "meminfo").unlink()
    (system / "cgroup").write_text("3:memory:/of/version/one\n")
    assert memory.available() == float("inf")
