"""Photos of the same content, by their embeddings: pairs whose cosine reaches a threshold.

What it sees depends on the embedder: a network that was trained to find a vehicle again calls two views of it alike,
which is what a Siamese network learns from. Hence a high threshold, and the check by geometric_verification.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xxhash

from siamclip.cleaning.contracts import CopyPairs, Notes, PhotoTable
from siamclip.cleaning.duplicates.cosine import clusters as clustering
from siamclip.cleaning.duplicates.cosine.cosine_search import MAX_PAIRS, NearPairs, pairs_above, pairs_between
from siamclip.cleaning.duplicates.cosine.faiss_index import measured_recall, pairs_by_index
from siamclip.cleaning.duplicates.cosine.value_groups import expanded
from siamclip.cleaning.duplicates.groups.keepers import preferred
from siamclip.errors import UserError

EXACT_LIMIT = 200_000  # distinct photos up to which "auto" compares all


def semantic(
    photos: PhotoTable,
    *,
    threshold: float = 0.95,
    search: Literal["auto", "exact", "ivf", "hnsw", "clusters"] = "auto",
    cluster_by: Literal["kmeans", "hdbscan"] = "kmeans",
    clusters: int = 0,
    max_pairs: int = MAX_PAIRS,
    seed: int = 0,
) -> CopyPairs:
    """Pairs with cosine >= `threshold`; their distance is Euclidean, sqrt(2 - 2 cos).

    `search`: "exact" compares all; "ivf" and "hnsw" ask an index, "clusters" compares inside clusters only, and the
    notes then hold the recall, measured on photos drawn at random. "auto": exact up to EXACT_LIMIT distinct photos,
    then ivf. `clusters`: how many K-means makes, 0 for sqrt(N / 2). Unreadable photos and those without an embedding
    match nothing; photos of the archive do not match each other. Raises UserError for a setting out of range.
    """
    _check_settings(threshold, clusters, max_pairs)
    archived, rank = photos.is_archived, preferred(photos)
    distinct = _distinct(photos)
    used = ("exact" if len(distinct.rows) <= EXACT_LIMIT else "ivf") if search == "auto" else search
    if used != "exact":  # what is learned from the rows, in their order, must not depend on the files' names
        distinct = distinct.by_content(photos)
    vectors = distinct.vectors(photos)
    asks = np.zeros(len(vectors), bool)  # values that a photo outside the archive has
    known = distinct.value >= 0
    asks[distinct.value[known & ~archived]] = True

    notes: Notes = {"search": used, "photos": int(known.sum()), "distinct": len(vectors)}
    if used == "exact":
        near = _exact(vectors, threshold, asks, max_pairs)
    elif used == "clusters":
        best = np.full(len(vectors), len(photos))
        np.minimum.at(best, distinct.value[known], rank[known])
        near, found = _in_clusters(vectors, threshold, asks, best, cluster_by, clusters, max_pairs, seed)
        notes |= found
    else:
        near, effort = pairs_by_index(used, vectors, threshold, asks, seed, max_pairs) if asks.any() else (_none(), {})
        notes |= effort
    if used != "exact":
        # Where representatives stand for a cluster, pairs are left out on purpose: then the share counts photos.
        notes |= _recall_notes(vectors, threshold, asks, near, seed, bool(notes.get("represented clusters")))
    near = expanded(distinct.value, near, photos.labels, rank, archived)
    return CopyPairs("semantic", near.first, near.second, near.distance, notes=notes)


@dataclass(frozen=True)
class _Distinct:
    """`value`: (N,) int64, the number of a photo's distinct embedding, -1 for none; `rows`: a photo of each."""

    value: np.ndarray
    rows: np.ndarray

    def vectors(self, photos: PhotoTable) -> np.ndarray:
        """(M, D) float32; not copied where every photo has its own."""
        vectors = photos.vectors()
        if np.array_equal(self.rows, np.arange(len(vectors))):
            return np.ascontiguousarray(vectors, np.float32)
        return np.ascontiguousarray(vectors[self.rows], np.float32)

    def by_content(self, photos: PhotoTable) -> _Distinct:
        """The same values, numbered in the order of their content hashes."""
        order = np.argsort(photos.content[self.rows], kind="stable")
        number = np.empty(len(order) + 1, np.int64)
        number[order] = np.arange(len(order))
        number[-1] = -1  # of photos that have none
        return _Distinct(number[self.value], self.rows[order])


def _distinct(photos: PhotoTable) -> _Distinct:
    """Photos of equal bytes or equal embeddings share a value, which stands for all of them in the search."""
    vectors = photos.vectors()
    usable = np.flatnonzero(photos.readable & np.isfinite(np.einsum("nd,nd->n", vectors, vectors)))
    contents, of_content = np.unique(photos.content[usable], return_inverse=True)
    first = np.full(len(contents), len(vectors))
    np.minimum.at(first, of_content, usable)
    digests = np.array([xxhash.xxh3_128_digest(vectors[row].tobytes()) for row in first], dtype="V16")
    _, where, of_digest = np.unique(digests, return_index=True, return_inverse=True)
    # The member with the smallest content stands for equal embeddings, whatever the order of the files.
    order = np.argsort(first[where])
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    value = np.full(len(vectors), -1, np.int64)
    value[usable] = number[of_digest.reshape(-1)][of_content.reshape(-1)]
    return _Distinct(value, first[where][order])


def _exact(vectors: np.ndarray, threshold: float, asks: np.ndarray, max_pairs: int) -> NearPairs:
    """All pairs of which at least one asks."""
    if asks.all():
        return pairs_above(vectors, threshold, max_pairs=max_pairs)
    new, old = np.flatnonzero(asks), np.flatnonzero(~asks)
    among = pairs_above(vectors[new], threshold, max_pairs=max_pairs)
    across = pairs_between(vectors[new], vectors[old], threshold, max_pairs=max_pairs)
    first = np.concatenate([new[among.first], new[across.first]])
    second = np.concatenate([new[among.second], old[across.second]])
    return NearPairs(first, second, np.concatenate([among.distance, across.distance]))


def _in_clusters(
    vectors: np.ndarray,
    threshold: float,
    asks: np.ndarray,
    rank: np.ndarray,
    cluster_by: str,
    clusters: int,
    max_pairs: int,
    seed: int,
) -> tuple[NearPairs, Notes]:
    if not len(vectors):
        return _none(), {"clusters": 0}
    if cluster_by == "hdbscan":
        labels = clustering.hdbscan_clusters(vectors)
    else:
        labels = clustering.kmeans_clusters(vectors, clusters or clustering.number_of_clusters(len(vectors)), seed)
    near, represented = clustering.pairs_in_clusters(vectors, labels, threshold, asks, rank, max_pairs)
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
    return near, {
        "clusters": len(sizes),
        "largest cluster": int(sizes.max(initial=0)),
        "represented clusters": represented,
    }


def _recall_notes(
    vectors: np.ndarray, threshold: float, asks: np.ndarray, near: NearPairs, seed: int, by_photo: bool
) -> Notes:
    if not asks.any():
        return {"recall": "no photo to search for"}
    recall = measured_recall(vectors, threshold, asks, near, seed, by_photo=by_photo)
    counted = "photos with a copy" if by_photo else "pairs"
    return {
        "recall": "unknown: the sampled photos have no pairs" if recall.share is None else recall.share,
        "recall measured on": f"{recall.photos:,} photos drawn at random, {recall.pairs:,} {counted}",
    }


def _none() -> NearPairs:
    return NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def _check_settings(threshold: float, clusters: int, max_pairs: int) -> None:
    if not 0 < threshold <= 1:
        raise UserError("set", "must be above 0 and at most 1", "it is a cosine", f"semantic.threshold={threshold}")
    if clusters < 0:
        raise UserError(
            "set", "must be 0, for a number chosen from the data, or more", value=f"semantic.clusters={clusters}"
        )
    if max_pairs < 1:
        raise UserError("set", "must be at least 1", value=f"semantic.max_pairs={max_pairs}")
