"""One interface to every encoder: photos in, unit vectors out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
import xxhash
from PIL import Image

from siamclip.data.image.decode import to_rgb
from siamclip.data.loader import PhotoLoader
from siamclip.device import choose_device, device_precision
from siamclip.models.encoder import SiameseEncoder, create

if TYPE_CHECKING:
    from siamclip.data.image.preprocess import Preprocessing

Photo: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | np.ndarray


def choose_precision(name: str, device: torch.device, encoder: SiameseEncoder) -> torch.dtype | None:
    """The type that the tower computes in, as `device_precision`; with "auto", convolutional towers stay in fp32 on the
    CPU, where depthwise convolutions in bf16 are slower."""
    if name == "auto" and device.type == "cpu" and encoder.is_convolutional:
        return None
    return device_precision(name, device)


class Embedder:
    """`embed(photos)` -> float32 (N, dimension), each row of unit length.

    On the CPU half precision converts the weights once, for good; on a GPU autocast does. The encoder that is
    passed in belongs to the embedder from then on.
    """

    def __init__(
        self,
        encoder: SiameseEncoder,
        name: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        workers: int = 4,
    ) -> None:
        self.name = name or encoder.spec.model
        self.threshold: float | None = None  # a checkpoint's: the distance up to which two photos show one identity
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device, encoder)
        self.batch_size, self.workers = batch_size, workers
        self._encoder = encoder.eval().to(self.device)
        _ = self.fingerprint  # of the weights as they were given, before any conversion
        if self.precision is not None and self.device.type == "cpu":
            self._encoder.tower.to(self.precision)

    @property
    def dimension(self) -> int:
        return self._encoder.spec.dimension

    @property
    def preprocessing(self) -> Preprocessing:
        return self._encoder.spec.preprocessing

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, preprocessing and precision: embeddings with the same fingerprint can be compared."""
        digest = xxhash.xxh3_128(repr((self._encoder.spec, self.precision)).encode())
        for name, tensor in sorted(self._encoder.tower.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def embed(self, photos: Sequence[Photo]) -> np.ndarray:
        """Embed paths, bytes, PIL images or arrays (see `to_rgb`). Raises ImageError for a broken one."""
        fitted = (self._fit(photo) for photo in photos)
        return self._stacked(self._embed_batch(np.stack(batch)) for batch in _grouped(fitted, self.batch_size))

    def embed_files(
        self, files: Sequence[Path], advance: Callable[[int], Any] = lambda done: None
    ) -> tuple[np.ndarray, dict[int, str]]:
        """Embeddings (N, dimension) of many files, decoded by a pool of threads while the network works.

        Returns also index -> reason of the files that cannot be read, whose rows are NaN. `advance` is called with
        the number of files done since its last call. Memory does not grow with the number of files, but for the
        result itself.
        """
        with PhotoLoader(files, lambda file, _: self.preprocessing.load(file), self.workers) as loader:
            vectors = embed_loaded(self._encoder, loader, self.device, self.precision, self.batch_size, advance)
            return vectors, loader.failures

    def _fit(self, photo: Photo) -> np.ndarray:
        if isinstance(photo, (Image.Image, np.ndarray)):
            return self.preprocessing.fit(to_rgb(photo))
        return self.preprocessing.load(photo)

    def _embed_batch(self, photos: np.ndarray) -> np.ndarray:
        return encode(self._encoder, torch.from_numpy(photos), self.device, self.precision).cpu().numpy()

    def _stacked(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.empty((0, self.dimension), np.float32), *parts])


@torch.inference_mode()
def encode(
    encoder: SiameseEncoder, photos: torch.Tensor, device: torch.device, precision: torch.dtype | None
) -> torch.Tensor:
    """uint8 (N, size, size, 3) -> float32 (N, dimension) on `device`."""
    pixels = encoder.spec.preprocessing.normalise(photos.to(device))
    if device.type == "cpu":
        return encoder(pixels.to(next(encoder.tower.parameters()).dtype))
    autocast = torch.autocast(device.type, precision) if precision is not None else nullcontext()
    with autocast:
        return encoder(pixels).float()


def embed_loaded(
    encoder: SiameseEncoder,
    loader: PhotoLoader,
    device: torch.device,
    precision: torch.dtype | None,
    batch_size: int = 64,
    advance: Callable[[int], Any] = lambda done: None,
) -> np.ndarray:
    """float32 (N, dimension) of all the loader's files; rows of NaN for those it cannot read."""
    total = len(loader.files)
    result = np.full((total, encoder.spec.dimension), np.nan, dtype=np.float32)
    batches = [np.arange(i, min(i + batch_size, total)) for i in range(0, total, batch_size)]
    for indices, (photos, unreadable) in zip(batches, loader.stream(batches), strict=True):
        if len(photos):
            result[indices[~unreadable]] = encode(encoder, torch.from_numpy(photos), device, precision).cpu().numpy()
        advance(len(indices))
    return result


def _grouped(items: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    group: list[np.ndarray] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def open_embedder(
    name: str, checkpoints: Path, weights: str | None = None, **settings: Any
) -> tuple[Embedder, dict[str, Any] | None]:
    """An embedder by the name of a model or a checkpoint, and the checkpoint's metadata (None for a model).

    `settings` are the constructor's. Raises UserError.
    """
    from siamclip.models.checkpoint import find, load_encoder
    from siamclip.models.towers import resolve

    is_path = Path(name).is_dir() or (checkpoints / name).is_dir() or name == "newest"
    if not is_path:
        resolve(name)  # an error here names the models that exist
        return Embedder(create(name, weights), **settings), None
    folder = find(name, checkpoints)
    encoder, metadata = load_encoder(folder)
    embedder = Embedder(encoder, metadata.get("run", folder.name), **settings)
    embedder.threshold = metadata.get("threshold", {}).get("value")
    return embedder, metadata
