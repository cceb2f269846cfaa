"""What a run trains on: the photos of the train side, then images that were made of them; and its epochs' batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from siamclip.data.collection import Collection
from siamclip.data.pairs import Pairs
from siamclip.training.images.augmented_images import AugmentedImages
from siamclip.training.mining import hard_negatives
from siamclip.training.sampling import Batch, draw_pairs, identity_batches, pair_batches
from siamclip.training.soft_labels import SoftLabels, agreement, mix


class TrainingSet:
    """`files[i]`, called `names[i]` in the log, has the soft label number i. The photos come first, and every identity
    has one; then the augmented images.

    A mixed image stands in for one photo of one of its identities in each epoch, drawn by their shares: it gets into
    pairs and batches as any other photo does, and what a pair of it is worth comes from the soft labels of both
    (`soft_labels.agreement`).
    """

    def __init__(self, photos: Collection, augmented: Sequence[AugmentedImages]) -> None:
        self.files = [*photos.files, *(file for images in augmented for file in images.files)]
        self.names = [*photos.paths, *(file.as_posix() for file in self.files[len(photos) :])]
        every_label = (images.labels for images in augmented)
        self.labels = reduce(SoftLabels.followed_by, every_label, SoftLabels.hard(photos.labels))

    def __len__(self) -> int:
        return len(self.files)

    def pair_batches(
        self,
        batch_size: int,
        samples_per_class: int,
        positive_ratio: float,
        rng: np.random.Generator,
        neighbours: np.ndarray | None,
    ) -> list[Batch]:
        """An epoch's batches of pairs; `neighbours` as `hard_negatives` gives them."""
        labels, order = self._in_order(rng)
        if neighbours is not None:
            # Photos are numbered anew; the last entry answers for -1, which fills short rows.
            number = np.append(np.argsort(order), -1)
            neighbours = number[neighbours[order]]
        drawn = draw_pairs(labels, samples_per_class, positive_ratio, rng, neighbours)
        return [batch.renumbered(order) for batch in pair_batches(drawn, batch_size)]

    def identity_batches(self, batch_size: int, photos_per_class: int, rng: np.random.Generator) -> list[Batch]:
        """An epoch's batches of some photos of each of some identities."""
        labels, order = self._in_order(rng)
        batches = identity_batches(labels, batch_size, photos_per_class, rng)
        return [batch.renumbered(order) for batch in batches]

    def hard_negatives(self, embeddings: np.ndarray, pool: int) -> np.ndarray:
        """(N, pool), -1 where there are fewer, from embeddings (N, D) whose rows are NaN for unreadable photos."""
        unreadable = np.isnan(embeddings[:, 0])
        nearest = hard_negatives(np.nan_to_num(embeddings), self.labels.shown, pool)
        nearest[np.isin(nearest, np.flatnonzero(unreadable))] = -1
        return nearest

    def pairs_of(self, batch: Batch, partner: np.ndarray, share: np.ndarray) -> Pairs:
        """A batch's pairs with y, when photo i of its U photos has become `share[i]` itself and else `partner[i]`."""
        labels = mix(self.labels.among(batch.photos), partner, share)
        return replace(batch.pairs, same=agreement(labels, batch.pairs.first, batch.pairs.second))

    def _in_order(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """An identity for each photo, sorted as data.pairs wants them, and the photos in that order: (N,) each."""
        identities = self.labels.drawn(rng)
        order = np.argsort(identities, kind="stable")
        return identities[order], order
