import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imaging import pixelstore
from pipeline.imaging.pixelstore import Held, Refusal


def index(images):
    return pd.DataFrame(
        {
            "image_id": list(images),
            "fingerprint": [f"f{version}" for version in images.values()],
            "path": [f"{name}.dcm" for name in images],
        },
        dtype="str",
    )


def pair(item):
    return item.image_id, item.fingerprint


class Disk:
    """A store that follows plans without rendering anything."""

    def __init__(self):
        self.held, self.shards = Held(), {}

    def follow(self, images, size, bad=frozenset()):
        kept, parts = pixelstore.plan(index(images), self.held, size)
        fresh = iter(sorted(set(range(1000)) - set(self.shards)))
        rendered, rows, refused, shards = [], [], list(kept.refused), {n: self.shards[n] for n in kept.checksums}
        for items in parts:
            number, content = next(fresh), []
            for item in items:
                if item.shard >= 0:
                    assert self.shards[item.shard][item.row] == pair(item)
                else:
                    rendered.append(item.image_id)
                if item.image_id in bad:
                    refused.append(Refusal(*pair(item), "broken", "mend"))
                else:
                    rows.append((*pair(item), number, len(content)))
                    content.append(pair(item))
            if content:
                shards[number] = content
        written = pd.DataFrame(rows, columns=["image_id", "fingerprint", "shard", "row"])
        self.shards = shards
        self.held = Held(pd.concat([kept.rows, written]), dict.fromkeys(shards, ""), refused)
        return rendered, len(parts)


IMAGES = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 2), min_size=1)


@settings(max_examples=40, deadline=None)
@given(st.lists(IMAGES, min_size=1, max_size=6), st.integers(1, 4), st.sets(st.sampled_from("abc")))
def test_any_history_ends_with_the_wanted_pictures_and_renders_each_once(history, size, bad):
    disk = Disk()
    before = {}
    for images in history:
        rendered, _ = disk.follow(images, size, bad)
        assert sorted(rendered) == sorted(name for name, version in images.items() if before.get(name) != version)
        wanted = {(name, f"f{version}") for name, version in images.items() if name not in bad}
        stored = [content for shard in disk.shards.values() for content in shard]
        assert sorted(stored) == sorted(wanted)  # and nothing else: shards are compact
        for row in disk.held.rows.itertuples():
            assert disk.shards[row.shard][row.row] == (row.image_id, row.fingerprint)
        assert max(map(len, disk.shards.values()), default=0) <= size
        before = images
        assert disk.follow(images, size, bad) == ([], 0)


def test_a_new_image_leaves_full_shards_alone():
    disk = Disk()
    disk.follow(dict.fromkeys("abcdefgh", 0), 4)
    assert disk.follow(dict.fromkeys("abcdefghi", 0), 4) == (["i"], 1)
    assert disk.shards == {0: [(n, "f0") for n in "abcd"], 1: [(n, "f0") for n in "efgh"], 2: [("i", "f0")]}


def test_small_shards_are_gathered_when_there_is_work():
    disk = Disk()
    for count in range(1, 9):
        disk.follow(dict.fromkeys("abcdefgh"[:count], 0), 4)
    assert len(disk.shards) <= 4
