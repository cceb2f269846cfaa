"""Names of made images: the parents', and no two alike on any file system."""

from __future__ import annotations

import os
import random
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation.output.names import LONGEST, name_folders, plan_names
from tests.augmentation.killed_outputs import METHODS

NOT_UTF8 = os.fsdecode(b"caf\xe9\xff")


def names_of(parents: list[tuple[str, str]], photos: list[str], methods: tuple[str, ...] = METHODS) -> list[str]:
    taken: set[str] = set()

    def keeps(name: str) -> bool:
        if name in taken or len(os.fsencode(name)) > 255:
            return False
        taken.add(name)
        return True

    return plan_names(parents, methods, photos, name_folders(parents, photos, keeps))


def test_names_are_the_parents() -> None:
    photos = ["京A12345/1.jpg", "京A12345/x/2.png", "京B/3.jpg"]
    parents = [(photos[0], photos[1]), (photos[1], photos[2]), (photos[2], "")]
    expected = ["classes/京A12345/1+2", "cross_class/京A12345+京B/2+3", "classes/京B/3"]
    assert names_of(parents, photos) == expected


HOSTILE = st.one_of(
    st.sampled_from(
        ["a", "A", "a+b", "b", "é", "e\u0301", "con", "1", "1+1", " ", "x.", "=1", 'a:b?"', "l" * 250, "京" * 80]
    ),
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6),
    st.just(NOT_UTF8),
)


@given(st.data())
@settings(max_examples=60)
def test_no_two_images_nor_a_photo_share_a_path(data: st.DataObject) -> None:
    path = st.builds(lambda *parts: "/".join(parts) + ".png", HOSTILE, HOSTILE) | st.builds(
        lambda *parts: "/".join(parts) + ".JPG", HOSTILE, HOSTILE, HOSTILE
    )
    photos = data.draw(st.lists(path, min_size=2, max_size=8, unique=True))
    a_pair = st.tuples(st.sampled_from(photos), st.sampled_from([*photos, ""]))
    parents = data.draw(st.lists(a_pair, min_size=1, max_size=12))
    names = names_of(parents, photos)
    assert names == names_of(parents, photos)
    paths = [f"{name}.{method}.png" for name in names for method in METHODS]
    folded = [unicodedata.normalize("NFC", one).casefold() for one in paths]
    originals = [unicodedata.normalize("NFC", f"classes/{photo}").casefold() for photo in photos]
    assert len({*folded, *originals}) == len(folded) + len(set(originals))
    rejected = {path.partition("/")[2] for path in paths}
    assert len(rejected) == len(paths)
    for file in (path.rpartition("/")[2] for path in paths):
        assert len(file.encode()) <= LONGEST + 50
        assert file.isprintable() and not set(file) & set('<>:"/\\|?*')


def test_an_images_name_does_not_depend_on_other_pairs_but_for_collisions() -> None:
    photos = [f"a/{i}.jpg" for i in range(5)]
    pairs = [(photos[i], photos[j]) for i in range(5) for j in range(i)]
    names = names_of(pairs, photos)
    shuffled = random.Random(0).sample(range(len(pairs)), len(pairs))
    assert names_of([pairs[i] for i in shuffled], photos) == [names[i] for i in shuffled]
