"""The noise maps of a collection's photos, when they are asked for: from memory, from the cache, or by inversion."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from siamclip.augmentation.fusion.noise_cache import key_of, seed_of
from siamclip.augmentation.square_photos import ReadsSquares, SquarePhoto
from siamclip.diffusion.ddpm_inversion import invert
from siamclip.errors import ImageError

if TYPE_CHECKING:
    import torch

    from siamclip.augmentation.fusion.sampling import DiffusionSampler


KEPT_BATCHES = 3  # of stacks, in memory: the batch that is used, the next one, and what is left of the last
_THREADS = 4


@dataclass(frozen=True)
class Inverted:
    """A photo as the model sees it, and its noise maps (S, C, h, w), float32 on the model's device."""

    stack: torch.Tensor
    photo: np.ndarray  # uint8 (side, side, 3)
    size: tuple[int, int]  # width, height of the photo itself


class NoiseMaps:
    """`get(path)`; memory holds KEPT_BATCHES * batch_size stacks at most.

    `order`: the paths as they will be asked for. Whenever a photo has to be inverted, the next ones that have to fill
    the batch up. Photos of the same content are inverted once, with noise from the seed that their content and the
    run's seed give. A batch always has `batch_size` photos, the last one repeated if need
    be: with it, the network's arithmetic does not depend on which photos happen to come together.
    """

    def __init__(
        self,
        sampler: DiffusionSampler,
        photos: ReadsSquares,
        order: Sequence[str],
        advance: Callable[[int], Any] = lambda done: None,
    ) -> None:
        """`advance` is called with the number of photos that are ready since its last call."""
        self.unreadable: dict[str, str] = {}  # path -> reason
        self.inverted = self.from_cache = 0
        self._sampler, self._settings, self._schedule = sampler, sampler.settings, sampler.schedule
        self._read, self._hashes, self._advance = photos.read, photos.hashes, advance
        first_of = {self._hashes[path]: path for path in reversed(order)}
        self._upcoming = iter([path for path in dict.fromkeys(order) if first_of[self._hashes[path]] == path])
        self._known: OrderedDict[str, Inverted] = OrderedDict()  # by content hash, the latest used last

    def get(self, path: str) -> Inverted | None:
        """None for a photo that cannot be read, which `unreadable` then names. Raises FloatingPointError as `invert`
        does."""
        digest = self._hashes[path]
        if digest not in self._known and path not in self.unreadable:
            self._fetch(path)
        found = self._known.get(digest)
        if found is not None:
            self._known.move_to_end(digest)
        return found

    def _fetch(self, path: str) -> None:
        """Make `path` known, and with it, if it must be inverted, as many of the upcoming ones as fill the batch."""
        room = (KEPT_BATCHES - 1) * self._sampler.batch_size  # for what is read ahead from the cache
        batch: dict[str, SquarePhoto] = {}  # by content hash
        candidates = [path]
        with ThreadPoolExecutor(_THREADS) as pool:
            while candidates:
                for name, photo in zip(candidates, pool.map(self._readable, candidates), strict=True):
                    digest = self._hashes[name]
                    if photo is None or digest in batch or digest in self._known:
                        continue
                    if self._read_stack(digest, photo):
                        room -= 1
                    else:
                        batch[digest] = photo
                ahead = min(self._sampler.batch_size - len(batch), room) if batch else 0
                candidates = list(islice(self._unknown(batch), max(ahead, 0)))
        if batch:
            self._invert(batch)

    def _unknown(self, batch: Container[str]) -> Iterator[str]:
        """Upcoming photos, but those that were asked for before their turn."""
        for name in self._upcoming:
            if self._hashes[name] not in self._known and self._hashes[name] not in batch:
                yield name

    def _readable(self, path: str) -> SquarePhoto | None:
        try:
            return self._read(path)
        except ImageError as error:
            self.unreadable[path] = error.reason
            self._advance(1)
            return None

    def _read_stack(self, digest: str, photo: SquarePhoto) -> bool:
        cache = self._sampler.cache
        stack = None if cache is None else cache.get(self._key(digest))
        if stack is None:
            return False
        self.from_cache += 1
        self._remember(digest, Inverted(stack.to(self._sampler.device), *photo))
        return True

    def _invert(self, batch: Mapping[str, SquarePhoto]) -> None:
        digests = list(batch)
        padded = digests + digests[-1:] * (self._sampler.batch_size - len(digests))
        denoiser, cache = self._sampler.denoiser, self._sampler.cache
        x_0 = denoiser.encode(np.stack([batch[digest][0] for digest in padded]))
        seeds = [seed_of(self._settings.seed, digest) for digest in padded]
        stacks = invert(denoiser.predict, x_0, self._schedule, self._settings.skip, seeds)
        for digest, stack in zip(digests, stacks, strict=False):
            if cache is not None:
                cache.put(self._key(digest), stack)
            self.inverted += 1
            # A copy: a view would keep the whole batch in memory.
            self._remember(digest, Inverted(stack.clone(), *batch[digest]))

    def _remember(self, digest: str, photo: Inverted) -> None:
        self._known[digest] = photo
        while len(self._known) > KEPT_BATCHES * self._sampler.batch_size:
            self._known.popitem(last=False)
        self._advance(1)

    def _key(self, digest: str) -> str:
        denoiser, settings = self._sampler.denoiser, self._settings
        return key_of(
            digest,
            denoiser.fingerprint,
            settings.steps,
            settings.skip,
            settings.eta,
            seed_of(settings.seed, digest),
            settings.geometry,
            denoiser.image_side,
        )
