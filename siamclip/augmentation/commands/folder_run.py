"""A run of fuse or mix over a folder: its photos, their embeddings, the folder that the images go to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from siamclip.augmentation.console import say_left_out
from siamclip.augmentation.output.folder import OutputFolder
from siamclip.augmentation.output.place import check_output_dir
from siamclip.cli.console import say
from siamclip.cli.progress_bars import Bars
from siamclip.data.collection import Collection
from siamclip.embedding.embedder import Embedder
from siamclip.embedding.photo_embeddings import EmbedderSource, embed_collection
from siamclip.errors import settings_called


@dataclass(frozen=True)
class FolderRun:
    """What fuse and mix share."""

    command: str  # "fuse" or "mix"
    input_dir: Path
    output_dir: Path
    embedder: EmbedderSource
    embedding_cache: Path | None
    across_classes: bool  # photos of different identities too
    copy_original: bool  # the photos lie beside the images
    sheet_rows: int  # of the contact sheet; 0 for none
    settings: Mapping[str, object]  # all by name, for settings.yaml
    fixed: frozenset[str]  # names of those that decide what is made: a run goes on with the same values alone

    @property
    def fixed_settings(self) -> dict[str, object]:
        return {name: value for name, value in self.settings.items() if name in self.fixed}

    def check_output_dir(self) -> None:
        """Raises UserError where the run cannot write, or go on: before the long work."""
        check_output_dir(self.output_dir, self.input_dir, self.command, self.fixed_settings)

    def collection(self, console: Console) -> Collection:
        """The photos. Raises UserError where there are none."""
        with settings_called(data_dir="input_dir"):
            collection = Collection.from_folder(self.input_dir)
        say(console, f"{len(collection):,} photos of {len(collection.identities):,} identities")
        if collection.skipped:
            reasons = Counter(file.reason for file in collection.skipped).most_common()
            say(console, "left out: " + ", ".join(f"{number:,} {reason}" for reason, number in reasons))
        return collection

    def embedded(self, collection: Collection, embedder: Embedder, console: Console) -> tuple[np.ndarray, bool]:
        """(N, D) float32 unit vectors, with rows of NaN for photos that cannot be read, which are listed; and whether
        there is none of these."""
        with Bars(console) as bars:
            advance = bars.step("photos embedded", len(collection))
            vectors, unreadable = embed_collection(embedder, collection, self.embedding_cache, advance)
        say_left_out(console, "photos that cannot be read", unreadable)
        return vectors, not unreadable

    @contextmanager
    def output(self, depends_on: Mapping[str, object], console: Console) -> Iterator[OutputFolder]:
        """The folder of the images, opened. `depends_on`: what else they depend on, by name.

        After Ctrl-C it says how many images there are and how to make the others.
        """
        settings = self.fixed_settings | dict(depends_on)
        with OutputFolder(self.output_dir, self.input_dir, self.command, settings) as output:
            try:
                yield output
            except KeyboardInterrupt:
                made = sum(output.reasons.values())
                say(console, f"{made:,} images are in {output.path}; the same command goes on with the others")
                raise

    def copy_photos(self, collection: Collection, output: OutputFolder, console: Console) -> dict[str, str]:
        """Copies of the photos beside the images, where they are asked for. Photo -> why it could not be read."""
        if not self.copy_original:
            return {}
        with Bars(console) as bars:
            return output.copy_photos(collection.paths, bars.step("photos copied", len(collection)))
