"""The photos below a folder, whatever its structure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from siamclip.data.image.decode import IMAGE_EXTENSIONS


def photos_below(folder: Path) -> list[Path]:
    """Files with an image's extension at any depth, in the order of their names; nothing hidden.

    Links to folders are followed, but no folder is entered twice, so that loops end. Raises OSError for a folder
    that cannot be listed: a search that leaves part of its candidates out would answer wrongly.
    """

    def cannot_list(error: OSError) -> None:
        raise error

    found = []
    for parent, folders, files in walk_once(folder, cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in files if not name.startswith("."))
        found += [Path(parent, name) for name in visible if Path(name).suffix.lower() in IMAGE_EXTENSIONS]
    return found


def walk_once(
    root: Path, cannot_list: Callable[[OSError], None], again: Callable[[str], None] = lambda folder: None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` in the order of the names, through links to folders, but into no folder twice, so that loops end.

    `again` is told of a folder that was entered before, under its other name.
    """
    entered = set()
    for parent, folders, files in os.walk(root, onerror=cannot_list, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            again(parent)
            continue
        entered.add((status.st_dev, status.st_ino))
        folders.sort()
        yield parent, folders, sorted(files)
