"""What made images and their folders are called: after their parents, the same in every run, no two alike anywhere."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

import xxhash

from siamclip.data.plate_names import identity_of

LONGEST = 120  # bytes of a stem: a method's name and what a file system adds must fit into 255
_END = "\0"  # of a name in what is hashed: no file's name holds it
_FORBIDDEN = frozenset('<>:"/\\|?*')  # on Windows
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


def name_folders(
    parents: Sequence[tuple[str, str]], photos: Sequence[str], keeps: Callable[[str], bool]
) -> dict[tuple[str, ...], str]:
    """Of one identity, or two in their order: the folder of their images, "classes/<identity>" or "cross_class/<A+B>".

    No two have the same last part, as rejected images of all share one folder. `keeps` tells whether the file system
    has a folder of that name, which none before it had; where it has not, the name is made safe.
    """
    crossing = sorted({_identities(*pair) for pair in parents if len(_identities(*pair)) > 1})
    folders = {}
    for label in [*((name,) for name in sorted(set(map(identity_of, photos)))), *crossing]:
        plain = "+".join(label)
        name = plain if keeps(plain) else safe_name(plain, _END.join(label))
        folders[label] = f"{'classes' if len(label) == 1 else 'cross_class'}/{name}"
    return folders


def plan_names(
    parents: Sequence[tuple[str, str]],
    methods: Sequence[str],
    photos: Sequence[str],
    folders: Mapping[tuple[str, ...], str],
) -> list[str]:
    """Of images to be made of `parents` (first, second; second "" for one alone): "<folder>/<stem>+<stem>".

    `<name>.<method>.png` is then a path that no other image has, nor a photo (`photos`: all of the collection, which
    may lie in "classes", too), whatever becomes of upper and lower case. A stem that is long, taken, or could not be a
    file's name everywhere is shortened and gets a hash. The same parents may stand there more than once.
    `folders`: of `name_folders`.
    """
    wanted = [(folders[_identities(*pair)], _stem(*pair)) for pair in parents]
    used = Counter(_folded(folder, stem) for folder, stem in wanted)
    taken = {_folded("classes", path) for path in photos}
    repeated: Counter[tuple[str, str]] = Counter()
    names = []
    for (first, second), (folder, stem) in zip(parents, wanted, strict=True):
        repeated[first, second] += 1
        is_taken = any(_folded(folder, f"{stem}.{method}.png") in taken for method in methods)
        if is_taken or used[_folded(folder, stem)] > 1 or stem != _stem_as_given(first, second):
            names.append(f"{folder}/{safe_name(stem, f'{first}{_END}{second}{_END}{repeated[first, second]}')}")
        else:
            names.append(f"{folder}/{stem}")
    return names


def safe_name(text: str, distinct: str) -> str:
    """`text`, shortened, that every file system takes, with a hash of `distinct`.

    The hash follows a "-": what follows a "~" in a folder's name would tell vehicles with one plate apart.
    """
    digest = xxhash.xxh3_64_hexdigest(distinct.encode("utf-8", "surrogatepass"))
    short = _clean(text).encode()[:LONGEST].decode(errors="ignore")
    return f"{short}-{digest}"


def _identities(first: str, second: str) -> tuple[str, ...]:
    """One identity, or two in their order."""
    return tuple(sorted({identity_of(path) for path in (first, second) if path}))


def _stem_as_given(first: str, second: str) -> str:
    return "+".join(PurePosixPath(path).stem for path in (first, second) if path)


def _stem(first: str, second: str) -> str:
    """The stem that can be had: a different one if it cannot be had as it is."""
    stem = _stem_as_given(first, second)
    if len(stem.encode("utf-8", "surrogatepass")) > LONGEST or stem.partition(".")[0].lower() in _RESERVED:
        return _clean(stem) + "_"
    return _clean(stem)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() and c not in _FORBIDDEN else "_" for c in text)


def _folded(folder: str, name: str) -> str:
    """Equal where a file system that takes upper and lower case for the same, or composes accents, has one file."""
    return unicodedata.normalize("NFC", f"{folder}/{name}").casefold()
