import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imaging import plan
from pipeline.imaging.plan import FACTS, KEYS, Refusal, Store


def index(images):
    names = sorted(images)
    return pd.DataFrame(
        {
            "image_id": names,
            "fingerprint": [f"f{images[name]}" for name in names],
            "path": [f"{name}.dcm" for name in names],
            "frame": 1,
        }
    ).astype(dict.fromkeys((*KEYS, "path"), "str"))


class Disk:
    """A store that follows plans without rendering anything."""

    def __init__(self):
        self.store, self.shards = Store(), {}

    def follow(self, images, size, bad=frozenset()):
        kept, rest = plan.plan(index(images), self.store, size)
        rendered, rows, refused, shards = [], [], list(kept.refused), {n: self.shards[n] for n in kept.checksums}
        cut = list(plan.cut(rest))
        for shard in cut:
            assert shard.number not in self.shards
            content = []
            for item in shard.rows.itertuples():
                pair = item.image_id, item.fingerprint
                if item.source:
                    assert self.shards[int(item.source[:5])][item.row] == pair
                    assert item.window == f"window of {pair}"
                else:
                    rendered.append(item.image_id)
                if item.image_id in bad:
                    refused.append(Refusal(*pair, "broken", "mend"))
                else:
                    rows.append((*pair, shard.number, len(content), f"window of {pair}", "", False))
                    content.append(pair)
            if content:
                shards[shard.number] = content
        written = pd.DataFrame(rows, columns=[*KEYS, "shard", "row", *FACTS]).astype(plan.ROWS)
        self.shards = shards
        table = pd.concat([kept.rows, written], ignore_index=True)
        self.store = Store(table, dict.fromkeys(shards, ""), refused, frozenset(shards))
        return rendered, len(cut)


IMAGES = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 2), min_size=1)


@settings(max_examples=30, deadline=None)
@given(st.lists(IMAGES, min_size=1, max_size=5), st.integers(1, 4), st.sets(st.sampled_from("abc")))
def test_any_history_ends_with_the_wanted_pictures_and_renders_each_once(history, size, bad):
    disk = Disk()
    before = {}
    for images in history:
        rendered, _ = disk.follow(images, size, bad)
        assert sorted(rendered) == sorted(name for name, version in images.items() if before.get(name) != version)
        wanted = {(name, f"f{version}") for name, version in images.items() if name not in bad}
        stored = [content for shard in disk.shards.values() for content in shard]
        assert sorted(stored) == sorted(wanted)  # and nothing else: shards are compact
        for row in disk.store.rows.itertuples():
            assert disk.shards[row.shard][row.row] == (row.image_id, row.fingerprint)
        assert max(map(len, disk.shards.values()), default=0) <= size
        before = images
        assert disk.follow(images, size, bad) == ([], 0)


def test_a_new_image_leaves_full_shards_alone():
    disk = Disk()
    disk.follow(dict.fromkeys("abcdefgh", 0), 4)
    assert disk.follow(dict.fromkeys("abcdefghi", 0), 4) == (["i"], 1)
    assert disk.shards == {0: [(n, "f0") for n in "abcd"], 1: [(n, "f0") for n in "efgh"], 2: [("i", "f0")]}


def test_a_hundred_new_images_among_ten_thousand_render_a_hundred():
    disk = Disk()
    old = {f"{number:05d}": 0 for number in range(0, 20_000, 2)}
    disk.follow(old, 256)
    rendered, shards = disk.follow(old | {f"{number:05d}": 0 for number in range(1, 201, 2)}, 256)
    assert rendered == [f"{number:05d}" for number in range(1, 201, 2)]
    assert shards == 1


def test_small_shards_are_gathered_when_there_is_work():
    disk = Disk()
    for count in range(1, 9):
        disk.follow(dict.fromkeys("abcdefgh"[:count], 0), 4)
    assert len(disk.shards) <= 4


def test_new_shards_take_the_numbers_that_the_store_leaves_free_even_where_its_shards_are_of_no_use():
    _, rest = plan.plan(index(dict.fromkeys("abcdef", 0)), Store(taken=frozenset({0, 2})), 2)
    assert [shard.number for shard in plan.cut(rest)] == [1, 3, 4]
