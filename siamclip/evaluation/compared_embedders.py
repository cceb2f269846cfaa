"""The embedders that an evaluation puts side by side: a checkpoint, what it started from, and any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from siamclip.data.collection import Collection
from siamclip.data.pairs import all_pairs
from siamclip.errors import UserError, printable
from siamclip.evaluation.measurement.contracts import CalibratedThreshold, EmbeddedPhotos
from siamclip.evaluation.photo_selection import composed
from siamclip.metrics.calibration import calibration_from_dict

if TYPE_CHECKING:
    from rich.progress import Progress

    from siamclip.embedding.embedder import Embedder


class ComparedEmbedder(NamedTuple):
    """stored: the threshold and calibration that a checkpoint holds. trained_on: names (NFC) of its training side."""

    name: str
    embedder: Embedder
    stored: CalibratedThreshold | None = None
    trained_on: frozenset[str] = frozenset()


def open_checkpoint(folder: Path, **settings: Any) -> ComparedEmbedder:
    """The checkpoint in `folder`; `settings` are the embedder's. Raises UserError."""
    from siamclip.embedding.embedder import open_embedder

    embedder, metadata = open_embedder(str(folder), folder, **settings)
    return _with_metadata(embedder, metadata or {})


def open_pretrained(metadata: dict[str, Any], **settings: Any) -> ComparedEmbedder:
    """The weights that a checkpoint's training started from, with its preprocessing. Raises UserError without them."""
    from siamclip.embedding.embedder import Embedder
    from siamclip.models.encoder import EncoderSpec, create

    spec = EncoderSpec.from_dict(metadata["encoder"])
    look, weights = spec.preprocessing, metadata.get("config", {}).get("weights")
    if weights == "random":
        raise UserError("", "training started from random weights")
    encoder = create(spec.model, weights, look.size, look.geometry, look.reduced_decode)
    name = f"{spec.model} pretrained, {look.size} px"
    return ComparedEmbedder(name, Embedder(encoder, name, **settings))


def open_compared(names: Sequence[str], checkpoints: Path, **settings: Any) -> list[ComparedEmbedder]:
    """Models or checkpoints by name, each once. Raises UserError for one that cannot be had."""
    from siamclip.embedding.embedder import open_embedder

    found = []
    for name in dict.fromkeys(names):
        try:
            embedder, metadata = open_embedder(name, checkpoints, **settings)
        except UserError as error:
            raise UserError("compare", error.told("`{}`".format), value=name) from None
        if metadata is None:
            found.append(ComparedEmbedder(f"{name}, {embedder.preprocessing.size} px", embedder))
        else:
            found.append(_with_metadata(embedder, metadata))
    return found


def _with_metadata(embedder: Embedder, metadata: dict[str, Any]) -> ComparedEmbedder:
    trained_on = composed(metadata.get("split", {}).get("train", ()))
    return ComparedEmbedder(embedder.name, embedder, stored_threshold(metadata), trained_on)


def stored_threshold(metadata: dict[str, Any]) -> CalibratedThreshold | None:
    """None for a checkpoint that was saved without, such as a run's "last"."""
    threshold, calibration = metadata.get("threshold"), metadata.get("calibration")
    if not threshold or not calibration:
        return None
    return CalibratedThreshold(float(threshold["value"]), calibration_from_dict(calibration), "checkpoint")


def with_unique_names(embedders: Sequence[ComparedEmbedder]) -> list[ComparedEmbedder]:
    """The same with names that differ: a second "run" becomes "run (2)"."""
    taken: dict[str, None] = {}
    result = []
    for compared in embedders:
        name, number = compared.name, 1
        while name in taken:
            number += 1
            name = f"{compared.name} ({number})"
        taken[name] = None
        result.append(compared._replace(name=name))
    return result


def overlap_notes(embedders: Sequence[ComparedEmbedder], identities: Sequence[str]) -> list[str]:
    """Which of the embedders were trained on some of these identities."""
    notes = []
    for compared in embedders:
        if seen := compared.trained_on & composed(identities):
            notes.append(f"{compared.name} was trained on {len(seen)} of these identities: it is flattered.")
    return notes


def embed_all(
    embedders: Sequence[ComparedEmbedder], files: list[Path], progress: Progress
) -> tuple[dict[str, np.ndarray], dict[Path, str]]:
    """(N, D) unit vectors by embedder, and why files could not be read by one of them (rows of NaN)."""
    embeddings: dict[str, np.ndarray] = {}
    unreadable: dict[Path, str] = {}
    for compared in embedders:
        task = progress.add_task(f"photos: {printable(compared.name)}", total=len(files))
        vectors, failures = compared.embedder.embed_files(
            files,
            lambda done, task=task: progress.advance(task, done),  # type: ignore[misc]
        )
        embeddings[compared.name] = vectors
        unreadable |= {files[i]: reason for i, reason in failures.items()}
    return embeddings, unreadable


def embedded_photos(
    files: Sequence[Path],
    embeddings: Mapping[str, np.ndarray],
    max_negative_pairs: int,
    seed: int,
    collection: Collection,
) -> dict[str, EmbeddedPhotos]:
    """The collection as each embedder sees it, with the same pairs for all of them.

    embeddings: name of the embedder -> (N, D) vectors of `files`, among which are those of the collection. Of more
    different pairs than `max_negative_pairs` a sample is drawn.
    """
    row_of = {file: row for row, file in enumerate(files)}
    rows = np.array([row_of[file] for file in collection.files])
    pairs = all_pairs(collection.labels, max_negative_pairs, seed)
    return {name: EmbeddedPhotos(vectors[rows], collection.labels, pairs) for name, vectors in embeddings.items()}
