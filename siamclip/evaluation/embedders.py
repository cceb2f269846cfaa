"""The embedders that an evaluation puts side by side: a checkpoint, what it started from, and any others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from siamclip.errors import UserError, printable
from siamclip.evaluation.measure import Decision
from siamclip.metrics.calibration import calibration_from_dict

if TYPE_CHECKING:
    from rich.progress import Progress

    from siamclip.embedding.embedder import Embedder


class Candidate(NamedTuple):
    """stored: the threshold and calibration that a checkpoint holds. trained_on: the identities it has seen."""

    name: str
    embedder: Embedder
    stored: Decision | None = None
    trained_on: frozenset[str] = frozenset()


def open_checkpoint(folder: Path, **settings: Any) -> Candidate:
    """The checkpoint in `folder`; `settings` are the embedder's. Raises UserError."""
    from siamclip.embedding.embedder import open_embedder

    embedder, metadata = open_embedder(str(folder), folder, **settings)
    return _with_metadata(embedder, metadata or {})


def open_pretrained(metadata: dict[str, Any], **settings: Any) -> Candidate:
    """The weights that a checkpoint's training started from, with its preprocessing. Raises UserError without them."""
    from siamclip.embedding.embedder import Embedder
    from siamclip.models.encoder import EncoderSpec, create

    spec = EncoderSpec.from_dict(metadata["encoder"])
    look, weights = spec.preprocessing, metadata.get("config", {}).get("weights")
    if weights == "random":
        raise UserError("training started from random weights")
    encoder = create(spec.model, weights, look.size, look.geometry, look.reduced_decode)
    name = f"{spec.model} pretrained, {look.size} px"
    return Candidate(name, Embedder(encoder, name, **settings))


def open_compared(names: Sequence[str], checkpoints: Path, **settings: Any) -> list[Candidate]:
    """Models or checkpoints by name, each once. Raises UserError, naming --compare, for one that cannot be had."""
    from siamclip.embedding.embedder import open_embedder

    found = []
    for name in dict.fromkeys(names):
        try:
            embedder, metadata = open_embedder(name, checkpoints, **settings)
        except UserError as error:
            raise UserError(f"--compare {name}: {error}") from None
        if metadata is None:
            found.append(Candidate(f"{name}, {embedder.preprocessing.size} px", embedder))
        else:
            found.append(_with_metadata(embedder, metadata))
    return found


def _with_metadata(embedder: Embedder, metadata: dict[str, Any]) -> Candidate:
    trained_on = frozenset(metadata.get("split", {}).get("train", ()))
    return Candidate(embedder.name, embedder, stored_decision(metadata), trained_on)


def stored_decision(metadata: dict[str, Any]) -> Decision | None:
    """None for a checkpoint that was saved without, such as a run's "last"."""
    threshold, calibration = metadata.get("threshold"), metadata.get("calibration")
    if not threshold or not calibration:
        return None
    return Decision(float(threshold["value"]), calibration_from_dict(calibration), "checkpoint")


def named_apart(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The same with names that differ: a second "run" becomes "run (2)"."""
    taken: dict[str, None] = {}
    result = []
    for candidate in candidates:
        name, number = candidate.name, 1
        while name in taken:
            number += 1
            name = f"{candidate.name} ({number})"
        taken[name] = None
        result.append(candidate._replace(name=name))
    return result


def embed_all(
    candidates: Sequence[Candidate], files: list[Path], progress: Progress
) -> tuple[dict[str, np.ndarray], dict[Path, str]]:
    """(N, D) unit vectors by candidate, and why files could not be read by one of them (rows of NaN)."""
    embeddings: dict[str, np.ndarray] = {}
    unreadable: dict[Path, str] = {}
    for candidate in candidates:
        task = progress.add_task(f"photos: {printable(candidate.name)}", total=len(files))
        vectors, failures = candidate.embedder.embed_files(
            files,
            lambda done, task=task: progress.advance(task, done),  # type: ignore[misc]
        )
        embeddings[candidate.name] = vectors
        unreadable |= {files[i]: reason for i, reason in failures.items()}
    return embeddings, unreadable
