"""Fusing many pairs: the images of a naive loop, each photo inverted once, and the same images however a run goes."""

from __future__ import annotations

import dataclasses
import itertools
import math
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siamclip.augmentation.contracts import FusionPair, MadeImage
from siamclip.augmentation.fusion import noise_maps
from siamclip.augmentation.fusion.blend import blend
from siamclip.augmentation.fusion.noise_cache import NoiseCache, seed_of
from siamclip.augmentation.fusion.noise_maps import KEPT_BATCHES, Inverted
from siamclip.augmentation.fusion.pipeline import FusionSummary, fuse_pairs, load_modes
from siamclip.augmentation.fusion.sampling import DiffusionSampler, FusionSettings
from siamclip.augmentation.method_table import MODES
from siamclip.augmentation.square_photos import LONGEST_STRETCH, stretched
from siamclip.diffusion.ddpm_inversion import generate, invert, steps_of_slots
from siamclip.diffusion.denoisers.factory import open_denoiser
from siamclip.errors import ImageError, UserError
from tests.augmentation.fusion.tiny_models import save_pipeline

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SIDE, STEPS = 16, 5
ARGUMENTS: dict[str, dict[str, Any]] = {"layer_selective": {"structure_weight": 0.8}}
ALL_MODES = load_modes(MODES.values(), ARGUMENTS)
Images = dict[str, tuple[MadeImage, np.ndarray]]


class Photos:
    """`number` photos of `identities` in turn, in memory."""

    def __init__(self, number: int, identities: int = 2, broken: Sequence[int] = ()) -> None:
        rng = np.random.default_rng(0)
        self.paths = [f"id{i % identities}/{i:03}.png" for i in range(number)]
        self.squares = {path: rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for path in self.paths}
        self.hashes = {path: xxhash.xxh3_128_hexdigest(square) for path, square in self.squares.items()}
        self.broken = {self.paths[i] for i in broken}
        self.reads: Counter[str] = Counter()

    def read(self, path: str) -> tuple[np.ndarray, tuple[int, int]]:
        self.reads[path] += 1
        if path in self.broken:
            raise ImageError("truncated", path)
        return self.squares[path], (40, 20)

    def pairs(self, *indices: tuple[int, int]) -> list[FusionPair]:
        ordered = (sorted((self.paths[i], self.paths[j])) for i, j in indices)
        return [FusionPair(first, second, 0.9) for first, second in ordered]


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_denoiser(str(save_pipeline(tmp_path_factory.mktemp("model"))), CPU)


class Counting:
    """A denoiser that counts what its network is asked."""

    def __init__(self, denoiser: Any) -> None:
        self._denoiser = denoiser
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    def predict(self, x_t: torch.Tensor, timestep: int) -> torch.Tensor:
        self.batches.append(len(x_t))
        return self._denoiser.predict(x_t, timestep)


def fuse(denoiser: Any, photos: Photos, pairs: Sequence[FusionPair], **changes: Any) -> tuple[Images, FusionSummary]:
    images: Images = {}

    def sink(rows: list[tuple[MadeImage, np.ndarray]]) -> None:
        for row, pixels in rows:
            assert row.path not in images
            images[row.path] = row, pixels

    settings = changes.pop("settings", FusionSettings(steps=STEPS, geometry="crop"))
    sampler = DiffusionSampler(denoiser, settings, changes.pop("batch_size", 4), CPU, changes.pop("cache", None))
    summary = fuse_pairs(pairs, changes.pop("modes", ALL_MODES), photos, sampler, sink, **changes)
    assert summary.made == len(images)
    return images, summary


def same(one: Images, other: Images) -> bool:
    return one.keys() == other.keys() and all(
        one[name][0] == other[name][0] and np.array_equal(one[name][1], other[name][1]) for name in one
    )


# -- the images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "keep_variance"), [(1, True), (3, False), (16, True)])
def test_the_images_are_those_of_a_naive_loop(denoiser: Any, batch_size: int, keep_variance: bool) -> None:
    photos = Photos(5)
    pairs = photos.pairs((0, 2), (1, 3), (0, 4), (2, 4), (0, 1))
    fusion = FusionSettings(STEPS, skip=1, eta=0.8, seed=7, ratio=0.3, keep_variance=keep_variance, geometry="pad")
    made, _ = fuse(denoiser, photos, pairs, settings=fusion, batch_size=batch_size)
    assert len(made) == len(pairs) * len(MODES)
    schedule = denoiser.schedule(STEPS, 0.8)
    level = steps_of_slots(STEPS, 1) / STEPS
    for pair, mode in itertools.product(pairs, ALL_MODES):
        stacks = [
            invert(
                denoiser.predict,
                denoiser.encode(photos.squares[path][None]),
                schedule,
                1,
                [seed_of(7, photos.hashes[path])],
            )
            for path in (pair.first, pair.second)
        ]
        weight = mode.weight(*stacks, 0.3, level, **ARGUMENTS.get(mode.name, {}))
        image = denoiser.decode(generate(denoiser.predict, blend(*stacks, weight, keep_variance), schedule))[0]
        row, pixels = made[f"{pair.first}+{pair.second}.{mode.name}.png"]
        assert np.abs(pixels.astype(int) - image).max() <= 1  # rounding to bytes
        assert np.mean(pixels != image) < 0.01
        assert row.ratio == pytest.approx(float(weight.expand_as(stacks[0]).double().mean()), abs=1e-6)
        assert (row.first, row.second, row.similarity, row.seed) == (pair.first, pair.second, 0.9, 7)
        assert row.settings["skip"] == 1 and row.settings["eta"] == 0.8 and row.model == denoiser.name
        assert row.settings.get("structure_weight") == ARGUMENTS.get(mode.name, {}).get("structure_weight")


def test_soft_labels_and_ratios(denoiser: Any) -> None:
    photos = Photos(4)
    made, _ = fuse(
        denoiser, photos, photos.pairs((0, 1), (0, 2)), settings=FusionSettings(STEPS, ratio=0.25, geometry="crop")
    )
    rows = {(row.second, row.method): row for row, _ in made.values()}
    across, within = photos.paths[1], photos.paths[2]
    assert rows[across, "linear"].soft_label == {"id0": 0.25, "id1": 0.75}
    assert all(rows[within, mode.name].soft_label == {"id0": 1.0} for mode in ALL_MODES)
    for (second, _), row in rows.items():
        assert sum(row.soft_label.values()) == pytest.approx(1)
        if second == across:
            assert row.soft_label["id0"] == row.ratio


def test_no_identity_stands_in_a_soft_label_with_nothing(denoiser: Any) -> None:
    photos = Photos(2)
    for ratio, expected in ((1.0, {"id0": 1.0}), (0.0, {"id1": 1.0})):
        linear = load_modes([MODES["linear"]], {})
        fusion = FusionSettings(STEPS, ratio=ratio, geometry="crop")
        made, _ = fuse(denoiser, photos, photos.pairs((0, 1)), modes=linear, settings=fusion)
        ((row, _),) = made.values()
        assert row.soft_label == expected


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(2, 8))
@settings(max_examples=40)
def test_a_stretched_square_has_the_shape_of_the_photo(width: int, height: int, side: int) -> None:
    image = stretched(np.zeros((side, side, 3), np.uint8), (width, height))
    assert min(image.shape[:2]) == side
    assert max(image.shape[:2]) <= LONGEST_STRETCH * side
    shape = image.shape[1] / image.shape[0]
    assert max(shape, 1 / shape) == pytest.approx(
        min(LONGEST_STRETCH, max(width / height, height / width)), abs=0.5 / side + 1e-9
    )
    assert (shape >= 1) == (width >= height) or max(shape, 1 / shape) == 1


def test_only_squashed_photos_are_stretched_back(denoiser: Any) -> None:
    photos = Photos(2, identities=1)
    for geometry, shape in (("squash", (SIDE, 2 * SIDE, 3)), ("pad", (SIDE, SIDE, 3)), ("crop", (SIDE, SIDE, 3))):
        made, _ = fuse(denoiser, photos, photos.pairs((0, 1)), settings=FusionSettings(STEPS, geometry=geometry))
        assert {pixels.shape for _, pixels in made.values()} == {shape}
    square = photos.squares[photos.paths[0]]
    expected = np.array(Image.fromarray(square).resize((2 * SIDE, SIDE), Image.Resampling.BICUBIC))
    assert np.array_equal(stretched(square, (40, 20)), expected)


# -- once per photo ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("photos", "batch_size"), [(4, 4), (7, 3), (9, 16)])
def test_each_photo_is_inverted_once_in_full_batches(denoiser: Any, photos: int, batch_size: int) -> None:
    counting = Counting(denoiser)
    collection = Photos(photos, identities=1)
    pairs = collection.pairs(*itertools.combinations(range(photos), 2))
    made, summary = fuse(counting, collection, pairs, batch_size=batch_size)
    rounds = math.ceil(photos / batch_size) + math.ceil(len(made) / batch_size)
    assert counting.batches == [batch_size] * (STEPS * rounds)
    assert (summary.inverted, summary.from_cache) == (photos, 0)


def test_photos_of_one_content_are_inverted_once(denoiser: Any) -> None:
    photos = Photos(4)
    copy, original = photos.paths[3], photos.paths[0]
    photos.squares[copy], photos.hashes[copy] = photos.squares[original], photos.hashes[original]
    made, summary = fuse(denoiser, photos, photos.pairs((0, 1), (1, 3)))
    assert summary.inverted == 2 and len(made) == 2 * len(MODES)


def test_the_cache_changes_nothing_but_the_work(denoiser: Any, tmp_path: Path) -> None:
    photos = Photos(6)
    pairs = photos.pairs(*itertools.combinations(range(6), 2))
    plain, _ = fuse(denoiser, photos, pairs)
    first, filled = fuse(denoiser, photos, pairs, cache=NoiseCache(tmp_path, 10**9))
    counting = Counting(denoiser)
    again, used = fuse(counting, photos, pairs, cache=NoiseCache(tmp_path, 10**9))
    assert same(plain, first) and same(plain, again)
    assert (filled.inverted, filled.from_cache, used.inverted, used.from_cache) == (6, 0, 0, 6)
    assert len(counting.batches) == STEPS * math.ceil(len(plain) / 4)
    for path in list(tmp_path.iterdir())[::2]:  # half of them is gone: the rest is read, these are inverted
        path.unlink()
    half, summary = fuse(denoiser, photos, pairs, cache=NoiseCache(tmp_path, 10**9))
    assert same(plain, half) and (summary.inverted, summary.from_cache) == (3, 3)


def test_other_settings_find_no_noise_maps_in_the_cache(denoiser: Any, tmp_path: Path) -> None:
    photos, cache = Photos(2), NoiseCache(tmp_path, 10**9)
    for fusion in (
        FusionSettings(STEPS),
        FusionSettings(STEPS + 1),
        FusionSettings(STEPS, skip=1),
        FusionSettings(STEPS, eta=0.5),
        FusionSettings(STEPS, seed=1),
        FusionSettings(STEPS, geometry="pad"),
    ):
        _, summary = fuse(denoiser, photos, photos.pairs((0, 1)), settings=fusion, cache=cache)
        assert summary.inverted == 2, fusion


# -- however a run goes -----------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 23)), st.permutations(range(6)))
@settings(max_examples=5)
def test_what_is_left_of_an_interrupted_run_comes_out_the_same(
    denoiser: Any, finished: set[int], order: list[int]
) -> None:
    photos = Photos(8)
    pairs = photos.pairs((0, 2), (0, 4), (2, 6), (1, 3), (3, 5), (0, 7))
    whole, _ = fuse(denoiser, photos, pairs)
    done = {name for i, name in enumerate(sorted(whole)) if i in finished}
    rest, summary = fuse(denoiser, photos, [pairs[i] for i in order], done=done)
    assert same(rest, {name: image for name, image in whole.items() if name not in done})
    assert summary.made == len(whole) - len(done)


def test_names_are_those_given_and_what_is_done_is_not_read(denoiser: Any) -> None:
    photos = Photos(4)
    pairs = [
        dataclasses.replace(pair, output_name=name)
        for pair, name in zip(photos.pairs((0, 2), (1, 3)), ("classes/a/x", "classes/b/y"), strict=True)
    ]
    done = {f"classes/a/x.{mode.name}.png" for mode in ALL_MODES} | {"classes/b/y.linear.png"}
    made, _ = fuse(denoiser, photos, pairs, done=done)
    assert set(made) == {f"classes/b/y.{mode}.png" for mode in MODES if mode != "linear"}
    assert set(photos.reads) == {photos.paths[1], photos.paths[3]}


def test_a_broken_photo_costs_its_pairs_alone(denoiser: Any) -> None:
    sound, broken = Photos(6), Photos(6, broken=[2])
    pairs = sound.pairs((0, 2), (0, 4), (1, 3), (2, 4), (2, 3), (1, 5))
    whole, _ = fuse(denoiser, sound, pairs)
    made, summary = fuse(denoiser, broken, pairs)
    lost = broken.paths[2]
    assert summary.unreadable == {lost: "truncated"}
    assert summary.skipped and all(lost in (pair.first, pair.second) for pair in summary.skipped)
    assert same(made, {name: one for name, one in whole.items() if lost not in (one[0].first, one[0].second)})
    assert len(made) == 3 * len(MODES) and broken.reads[lost] == 1


def test_every_photo_broken(denoiser: Any) -> None:
    photos = Photos(3, broken=[0, 1, 2])
    made, summary = fuse(denoiser, photos, photos.pairs((0, 2), (0, 1)))
    assert made == {} and len(summary.skipped) == 2 and set(summary.unreadable) == set(photos.paths)


def test_progress_reaches_its_totals(denoiser: Any) -> None:
    photos = Photos(6, broken=[5])
    reported: dict[str, list[tuple[int, int]]] = {}

    def progress(stage: str, number: int, total: int) -> None:
        reported.setdefault(stage, []).append((number, total))

    fuse(denoiser, photos, photos.pairs((0, 2), (2, 4), (0, 1)), progress=progress)
    assert reported["photos inverted"][-1] == (4, 4)
    assert reported["images fused"][-1] == (12, 12)
    assert all(values == sorted(values) for values in reported.values())


def test_memory_is_that_of_some_batches(denoiser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos whose noise maps are held at once, while images are handed over."""
    alive: weakref.WeakSet[Inverted] = weakref.WeakSet()

    class Tracked(Inverted):
        def __init__(self, *fields: Any) -> None:
            super().__init__(*fields)
            alive.add(self)

        __hash__ = object.__hash__

    monkeypatch.setattr(noise_maps, "Inverted", Tracked)
    held = []
    for number in (18, 54):
        photos = Photos(number, identities=3)
        near = [(i, j) for i, j in itertools.combinations(range(number), 2) if j - i in (3, 6)]
        most: list[int] = []
        fuse_pairs(
            photos.pairs(*near),
            load_modes([MODES["linear"]], {}),
            photos,
            DiffusionSampler(denoiser, FusionSettings(1, geometry="crop"), 2, CPU),
            lambda rows, most=most: most.append(len(alive)),
        )
        assert len(most) == math.ceil(len(near) / 2)
        held.append(max(most))
    assert held[0] == held[1] <= (KEPT_BATCHES + 2) * 2  # with those of the images that are waiting


# -- what ends a run --------------------------------------------------------------------------------------------------


class TurnsToNan:
    """A denoiser whose network fails at its call number `at`."""

    def __init__(self, denoiser: Any, at: int) -> None:
        self._denoiser, self._at, self._calls = denoiser, at, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    def predict(self, x_t: torch.Tensor, timestep: int) -> torch.Tensor:
        self._calls += 1
        output = self._denoiser.predict(x_t, timestep)
        return output * torch.nan if self._calls == self._at else output


def test_a_nan_from_the_network_names_the_model(denoiser: Any) -> None:
    photos = Photos(4)
    images: list[MadeImage] = []
    pairs = photos.pairs((0, 2), (1, 3), (0, 1))
    with pytest.raises(UserError, match=r"^diffusion .*model.*not finite.*4 images were made before"):
        fuse_pairs(
            pairs,
            ALL_MODES,
            photos,
            # one batch inverted, one generated
            DiffusionSampler(TurnsToNan(denoiser, STEPS * 2 + 3), FusionSettings(STEPS), 4, CPU),
            lambda rows: images.extend(row for row, _ in rows),
        )
    assert len(images) == 4


def test_skipping_all_steps_is_refused() -> None:
    with pytest.raises(UserError, match=r"^skip 5: must be below steps 5; with it no step is left"):
        FusionSettings(5, skip=5)
