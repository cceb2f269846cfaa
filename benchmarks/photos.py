"""Photos to measure on, with the edges, texture and grain that make decoding a JPEG cost what it does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 1260, 840


def render_photos(folder: Path, number: int, identities: int = 1, seed: int = 0) -> list[Path]:
    """`number` JPEGs of 1260 x 840, quality 90, in a sub-folder an identity; each shows its identity's shapes."""
    files = []
    for i in range(number):
        identity = i % identities
        shapes, view = np.random.default_rng([seed, identity]), np.random.default_rng([seed, identity, i])
        # Smooth light with fine grain, as a photo of asphalt or sky has; then a few hard edges.
        coarse = shapes.uniform(30, 220, (6, 9, 3)).astype(np.float32)
        image = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
        shift = view.integers(-60, 60, 2)
        for _ in range(24):
            corner = shapes.integers((0, 0), (WIDTH, HEIGHT))
            size = shapes.integers(30, 320, 2)
            colour = shapes.uniform(0, 255, 3).tolist()
            first, second = (corner + shift).tolist(), (corner + shift + size).tolist()
            cv2.rectangle(image, first, second, colour, -1, cv2.LINE_AA)
        image += np.asarray(cv2.GaussianBlur(view.normal(0, 30, image.shape).astype(np.float32), (0, 0), 0.8))
        path = folder / f"{identity:04}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, encoded = cv2.imencode(".jpg", image.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
        path.write_bytes(encoded.tobytes())
        files.append(path)
    return files
