"""The folder that `fuse` and `mix` write: images, what is known of each, and what a killed run needs to go on.

    OUT/siamclip-augment.json            the command, its settings and the collection: written first
    OUT/classes/<identity>/...           images whose parents are of one identity; the photos too, where they are copied
    OUT/cross_class/<A+B>/...            images of two identities, with a soft label
    OUT/rejected/<reason>/<folder>/...   what the gate refused
    OUT/manifest.csv, manifest.parquet   a row an image: see manifest.py
    OUT/journal.jsonl                    the same rows as they came, each with its file's size and hash

A row is appended when its image is whole on the disk, so an image counts as made if it has a row and its bytes are
those of the row; whatever else a kill left behind is made again, under the same name.

    with OutputFolder(out, input_dir, "fuse", settings) as output:
        names = output.names(parents, methods, photos)      one a pair; an image is f"{name}.{method}.png"
        output.write([(made, pixels), ...])                 leave out those whose path is in output.done
"""

from __future__ import annotations

import errno
import io
import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from siamclip.augmentation.output.journal import OutputJournal
from siamclip.augmentation.output.manifest import read_manifest, write_manifest
from siamclip.augmentation.output.names import name_folders, plan_names, safe_name
from siamclip.augmentation.output.place import FORMAT, as_json_values, check_output_dir
from siamclip.data.plate_names import identity_of
from siamclip.errors import UserError
from siamclip.files import lock as folder_lock
from siamclip.files.atomic import write_atomically
from siamclip.files.markers import MARKER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from siamclip.augmentation.contracts import MadeImage

__all__ = ["OutputFolder", "read_manifest"]

_SCRATCH = ".names"
# What mkdir answers for a name that the file system does not take, or has already under another spelling.
_NAME_REFUSED = (errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ, errno.EEXIST, errno.ENOENT)


class OutputFolder:
    """A context manager: the folder is this process's alone until the end, when the manifest is written in any case.

    Raises UserError where `check_output_dir` does, where another process works in it, and where the disk fails; what
    was made until then stays, and the same command goes on with it.
    """

    def __init__(self, path: Path, input_dir: Path, command: str, settings: Mapping[str, object]) -> None:
        """`command`: "fuse" or "mix". `settings`: JSON values, all that the images depend on, and no more: a folder of
        other ones is refused."""
        self.path = path
        self._input_dir, self._command, self._settings = input_dir, command, as_json_values(settings)
        self._journal: OutputJournal | None = None
        self._stack = ExitStack()
        self._folders: set[Path] = set()  # that are there

    @property
    def contact_sheet(self) -> Path:
        return self.path / "contact_sheet.png"

    @property
    def similarities(self) -> Path:
        return self.path / "similarities.png"

    @property
    def thresholds(self) -> Path:
        return self.path / "thresholds.csv"

    @property
    def settings(self) -> Path:
        return self.path / "settings.yaml"

    def __enter__(self) -> OutputFolder:
        check_output_dir(self.path, self._input_dir, self._command, self._settings)
        with ExitStack() as stack:
            stack.enter_context(folder_lock.hold(self.path, self._command, "output_dir"))
            check_output_dir(self.path, self._input_dir, self._command, self._settings)  # nobody changes it from here
            with self.explain_write_errors():
                if not (self.path / MARKER).exists():
                    marker = {"format": FORMAT, "command": self._command, "input_dir": str(self._input_dir.resolve())}
                    text = json.dumps(marker | {"settings": self._settings}, indent=1)
                    write_atomically(self.path / MARKER, text.encode("ascii"))
                shutil.rmtree(self.path / _SCRATCH, ignore_errors=True)
                for half_written in self.path.rglob(".*.part"):
                    half_written.unlink(missing_ok=True)
                self._journal = OutputJournal(self.path)
                stack.callback(self._journal.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                self.write_manifest()
            else:
                with suppress(UserError):  # the first error is the one to report
                    self.write_manifest()

    @property
    def done(self) -> Set[str]:
        """The paths of the images that are there, as they would be if none had been rejected."""
        return self._open.names

    @property
    def reasons(self) -> Counter[str]:
        """Reason of rejection -> number of images; "" for those that were kept."""
        return self._open.reasons

    def images(self) -> Iterator[MadeImage]:
        """All rows in the order of their paths, read one by one."""
        return self._open.images()

    def names(self, parents: Sequence[tuple[str, str]], methods: Sequence[str], photos: Sequence[str]) -> list[str]:
        """A name for each (first, second) below the collection, second "" for one alone: see names.plan_names.

        `methods`: all that the images end in. `photos`: the whole collection's. An image is `<name>.<method>.png`.
        """
        folders = self._name_folders(parents, photos)
        return plan_names(parents, methods, photos, folders)

    def write(self, images: Sequence[tuple[MadeImage, np.ndarray]]) -> None:
        """Write images, uint8 (H, W, 3), and their rows. Each `path` is `<name>.<method>.png`, of a name of `names`;
        a rejected one goes to the folder of its reason. All are on the disk when this returns."""
        with self.explain_write_errors():
            rows = []
            for image, pixels in images:
                placed = replace(image, path=_place(image))
                content = _png(pixels)
                self._write_file(self.path / placed.path, content)
                rows.append((image.path, content, placed))
            self._open.append(rows)

    def copy_photos(self, photos: Sequence[str], advance: Callable[[int], Any] = lambda done: None) -> dict[str, str]:
        """Copy all the collection's photos into the folders of their identities, under their own names; those that are
        there already are left as they are. Returns photo -> reason for those that cannot be read."""
        folders = self._name_folders([], photos)
        unreadable = {}
        taken: set[str] = set()
        for photo in sorted(photos):
            identity = identity_of(photo)
            target = f"{folders[identity,]}/{photo[len(identity) + 1 :]}"
            folded = unicodedata.normalize("NFC", target).casefold()
            if folded in taken:  # one file, where upper and lower case are the same
                place = Path(target)
                target = (place.parent / (safe_name(place.stem, photo) + place.suffix)).as_posix()
            taken.add(folded)
            try:
                content = (self._input_dir / photo).read_bytes()
            except OSError as error:
                unreadable[photo] = error.strerror or str(error)
                advance(1)
                continue
            file = self.path / target
            with self.explain_write_errors():
                if not (file.is_file() and file.read_bytes() == content):
                    self._write_file(file, content)
            advance(1)
        return unreadable

    def write_manifest(self) -> None:
        with self.explain_write_errors():
            write_manifest(self.path, self._open.images, sorted(self._open.scores))

    @property
    def _open(self) -> OutputJournal:
        if self._journal is None:
            raise RuntimeError("an OutputFolder is used in a with statement")
        return self._journal

    def _name_folders(self, parents: Sequence[tuple[str, str]], photos: Sequence[str]) -> dict[tuple[str, ...], str]:
        scratch = self.path / _SCRATCH

        def keeps(name: str) -> bool:
            try:
                (scratch / name).mkdir()
            except OSError as error:
                if error.errno not in _NAME_REFUSED:
                    raise
                return False
            return True

        with self.explain_write_errors():
            scratch.mkdir(exist_ok=True)
            try:
                return name_folders(parents, photos, keeps)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _write_file(self, file: Path, content: bytes) -> None:
        if file.parent not in self._folders:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(file.parent)
        write_atomically(file, content)

    @contextmanager
    def explain_write_errors(self) -> Iterator[None]:
        """Around whatever writes into the folder: an OSError becomes a UserError that says how to go on."""
        try:
            yield
        except OSError as error:
            made = 0 if self._journal is None else sum(self._journal.reasons.values())
            problem = f"cannot be written ({error.strerror or error}) after {made:,} images, which stay"
            remedy = "make room or allow it, then run the same command again: it goes on"
            raise UserError("output_dir", problem, remedy, self.path) from error


def _place(image: MadeImage) -> str:
    if not image.rejected:
        return image.path
    _, _, below = image.path.partition("/")  # classes or cross_class: their folders have no name in common
    return f"rejected/{image.rejected}/{below}"


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
