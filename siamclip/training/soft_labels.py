"""Soft labels: how much of an image shows each identity, and how far two such labels agree.

A photo shows one identity. An image that was mixed of two shows both, each with a share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SoftLabels:
    """`shares[i, k]` of photo i shows identity `identities[i, k]`: float64 and int64, (N, K) each.

    A row's shares are 0 or more and sum to 1; the first is above 0. A share of 0 fills a short row.
    """

    identities: np.ndarray
    shares: np.ndarray

    @classmethod
    def hard(cls, labels: np.ndarray) -> SoftLabels:
        """One identity each, (N,)."""
        return cls(labels.astype(np.int64)[:, None], np.ones((len(labels), 1)))

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def mixed(self) -> np.ndarray:
        """Boolean (N,): those that show more than one identity."""
        return np.count_nonzero(self.shares, axis=1) > 1

    @property
    def hardened(self) -> np.ndarray:
        """(N,): the identity with the largest share, the first of equals."""
        return np.take_along_axis(self.identities, self.shares.argmax(axis=1)[:, None], axis=1)[:, 0]

    @property
    def shown(self) -> np.ndarray:
        """(N, K): the identities that a photo shows at all, -1 in what is left of a row."""
        return np.where(self.shares > 0, self.identities, -1)

    def followed_by(self, others: SoftLabels) -> SoftLabels:
        """These photos and then the others."""
        width = max(self.identities.shape[1], others.identities.shape[1])

        def widened(table: np.ndarray) -> np.ndarray:
            return np.pad(table, ((0, 0), (0, width - table.shape[1])))

        return SoftLabels(
            np.concatenate([widened(self.identities), widened(others.identities)]),
            np.concatenate([widened(self.shares), widened(others.shares)]),
        )

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """One identity for each photo, (N,), drawn with its share as the probability; `rng` is asked for mixed ones."""
        chosen = self.shares.argmax(axis=1)
        mixed = np.flatnonzero(self.mixed)
        chosen[mixed] = (rng.random((len(mixed), 1)) < self.shares[mixed].cumsum(axis=1)).argmax(axis=1)
        return np.take_along_axis(self.identities, chosen[:, None], axis=1)[:, 0]

    def among(self, photos: np.ndarray) -> np.ndarray:
        """(U, C) float64: the shares of each identity that the chosen photos (U,) show, a column each."""
        shares = self.shares[photos]
        present, columns = np.unique(self.identities[photos], return_inverse=True)
        table = np.zeros((len(photos), len(present)))
        np.add.at(table, (np.arange(len(photos))[:, None], columns.reshape(shares.shape)), shares)
        return table


def mix(labels: np.ndarray, partner: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Labels (U, C) of images that are `share` (U,) themselves and for the rest the image number `partner` (U,)."""
    return share[:, None] * labels + (1 - share)[:, None] * labels[partner]


def agreement(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far the labels of two images agree, in [0, 1]: float32 (P,) for pairs of rows of (U, C).

    sum_c min(p_c, q_c), which is 1 less the total variation: the largest probability with which an identity drawn
    from p and one drawn from q can be the same, over all ways to draw the two together. An image agrees with itself
    by 1; the dot product, which draws them independently, would say 1/2 of an even mix of two and itself, and so
    push an image away from itself.
    """
    return np.minimum(labels[first], labels[second]).sum(axis=1).clip(max=1.0).astype(np.float32)
