"""Small collections with a small diffusion model, and augment.py fuse on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import augment
from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output.folder import read_manifest
from siamclip.errors import exit_on_user_error
from tests.augmentation.fusion.tiny_models import save_pipeline
from tests.hostile import UNREADABLE

SIZES = ((96, 64), (64, 96), (80, 80))
WITHIN = 6  # pairs of photos of one identity


class Scene(NamedTuple):
    photos: Path
    model: Path
    caches: Path


def make_scene(root: Path) -> Scene:
    """Two identities of three photos of different sizes, a file that only looks like one, a network of 16 x 16."""
    rng = np.random.default_rng(0)
    for identity in ("京A12345", "京A12345~2"):
        board = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        (root / "photos" / identity).mkdir(parents=True)
        for i, size in enumerate(SIZES):
            noisy = (board * rng.uniform(0.8, 1.2) + rng.normal(0, 15, board.shape)).clip(0, 255).astype(np.uint8)
            photo = Image.fromarray(noisy).resize(size, Image.Resampling.BICUBIC)
            photo.save(root / "photos" / identity / f"{i}.png")
    UNREADABLE["truncated JPEG"](root / "photos" / "京A12345")
    return Scene(root / "photos", save_pipeline(root / "model"), root)


def flags(scene: Scene, out: Path, **changes: Any) -> list[str]:
    values: dict[str, Any] = {
        "input_dir": scene.photos,
        "output_dir": out,
        "embedder": "efficientnet-lite0",
        "diffusion": scene.model,
        "steps": 4,
        "similarity_threshold": 0.2,
        "similarity_ceiling": 0.999,
        "gate_similarity": -1,
        "max_pairs": WITHIN,
        "batch_size": 4,
        "device": "cpu",
        "temp_yaml": out.parent / "temp.yaml",
        "noise_cache": scene.caches / "maps",
        "embedding_cache": scene.caches / "embeddings",
    }
    given = [text for name, value in {**values, **changes}.items() if value is not None for text in _flag(name, value)]
    return ["fuse", *given]


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no_{name}"]
    return [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]


def run(argv: Sequence[str]) -> int:
    try:
        with exit_on_user_error():
            return augment.main(argv)
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code


def hashed(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def outcome(out: Path) -> tuple[dict[str, str], list[str], list[MadeImage]]:
    """Files, lines of the journal in any order, rows."""
    files = hashed(out)
    del files["journal.jsonl"]
    return files, sorted((out / "journal.jsonl").read_text().splitlines()), read_manifest(out)
