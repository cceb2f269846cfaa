"""The embedder against a plain forward pass, and what makes two embedders comparable."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from siamclip.data.image.decode import decode
from siamclip.device import choose_device
from siamclip.embedding.embedder import Embedder, choose_precision, open_embedder
from siamclip.embedding.store import EmbeddingStore
from siamclip.embedding.unique_photos import embed_unique
from siamclip.errors import ImageError, UserError
from siamclip.models.encoder import SiameseEncoder, create
from tests.hostile import READABLE, UNREADABLE, encoded, smooth_rgb


@pytest.fixture(scope="module")
def pretrained() -> SiameseEncoder:
    return create("efficientnet-lite0", image_size=96)


@pytest.fixture(scope="module")
def embedder(pretrained: SiameseEncoder) -> Embedder:
    return Embedder(copy.deepcopy(pretrained), device="cpu", precision="fp32", batch_size=4, workers=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    chance = np.random.default_rng(0)
    paths = []
    for i in range(10):
        blocks = chance.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        size = (int(chance.integers(60, 400)), int(chance.integers(60, 400)))
        paths.append(folder / f"{i}.jpg")
        Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def naive(encoder: SiameseEncoder, files: list[Path]) -> np.ndarray:
    """One photo at a time, step by step, normalised by hand."""
    preprocessing = encoder.spec.preprocessing
    rows = []
    for file in files:
        photo = preprocessing.load(file).astype(np.float64) / 255
        pixels = (photo - preprocessing.mean) / preprocessing.std
        with torch.inference_mode():
            features = encoder.tower(torch.from_numpy(pixels).float().permute(2, 0, 1)[None])[0].double().numpy()
        rows.append(features / np.linalg.norm(features))
    return np.stack(rows)


def test_rows_are_those_of_a_plain_forward_pass(
    embedder: Embedder, pretrained: SiameseEncoder, files: list[Path]
) -> None:
    vectors = embedder.embed(files)
    assert vectors.dtype == np.float32
    assert vectors.shape == (10, embedder.dimension) == (10, 1280)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, naive(pretrained, files), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_size_of_a_batch_changes_nothing(
    batch_size: int, embedder: Embedder, pretrained: SiameseEncoder, files: list[Path]
) -> None:
    other = Embedder(copy.deepcopy(pretrained), device="cpu", precision="fp32", batch_size=batch_size)
    np.testing.assert_allclose(other.embed(files), embedder.embed(files), atol=1e-5)
    np.testing.assert_allclose(other.embed_files(files)[0], embedder.embed(files), atol=1e-5)


def test_no_photos_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 1280)
    assert embedder.embed_files([])[0].shape == (0, 1280)


def test_every_form_of_a_photo_gives_the_same_vector(embedder: Embedder, tmp_path: Path) -> None:
    # Small enough that a JPEG is not decoded at a reduced scale, which would differ from its full pixels.
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(smooth_rgb(150, 120), "JPEG", quality=95))
    forms = [path, str(path), path.read_bytes(), Image.open(path), decode(path), decode(path) / 255]
    vectors = embedder.embed(forms)
    np.testing.assert_allclose(vectors, np.repeat(vectors[:1], len(forms), axis=0), atol=1e-6)


def test_unreadable_files_are_nan_and_the_rest_goes_on(embedder: Embedder, files: list[Path], tmp_path: Path) -> None:
    hostile = {name: UNREADABLE[name](tmp_path) for name in UNREADABLE if "50,000" not in name}
    odd = {name: READABLE[name](tmp_path) for name in READABLE}
    mixed = [path for pair in zip(hostile.values(), files * 2, strict=False) for path in pair] + list(odd.values())
    done: list[int] = []
    vectors, failures = embedder.embed_files(mixed, done.append)
    assert sum(done) == len(mixed)
    broken = {i for i, path in enumerate(mixed) if path in hostile.values()}
    assert failures.keys() == broken
    assert all(failures.values())
    assert {i for i in range(len(mixed)) if np.isnan(vectors[i]).all()} == broken
    readable = sorted(set(range(len(mixed))) - broken)
    np.testing.assert_allclose(vectors[readable], embedder.embed([mixed[i] for i in readable]), atol=1e-5)


def test_an_unreadable_photo_is_an_error_that_names_it(embedder: Embedder, tmp_path: Path) -> None:
    broken = UNREADABLE["text named .jpg"](tmp_path)
    with pytest.raises(ImageError, match=r"text\.jpg"):
        embedder.embed([broken])


# -- the fingerprint ----------------------------------------------------------------------------------------------


def with_other_weight(encoder: SiameseEncoder) -> SiameseEncoder:
    last = list(encoder.tower.parameters())[-1]
    last.data.view(-1)[0] += 1e-6 + last.data.view(-1)[0].abs() * 1e-6
    return encoder


def with_other_buffer(encoder: SiameseEncoder) -> SiameseEncoder:
    buffer = next(b for b in encoder.tower.buffers() if b.is_floating_point())
    buffer.view(-1)[0] *= 1.001
    return encoder


def with_other_geometry(encoder: SiameseEncoder) -> SiameseEncoder:
    preprocessing = dataclasses.replace(encoder.spec.preprocessing, geometry="pad")
    encoder.spec = dataclasses.replace(encoder.spec, preprocessing=preprocessing)
    return encoder


def fingerprint(encoder: SiameseEncoder, precision: str = "fp32") -> str:
    return Embedder(encoder, device="cpu", precision=precision).fingerprint


@pytest.mark.parametrize("change", [with_other_weight, with_other_buffer, with_other_geometry])
def test_the_fingerprint_changes_with_weights_and_preprocessing(
    change: Callable[[SiameseEncoder], SiameseEncoder], pretrained: SiameseEncoder
) -> None:
    assert fingerprint(change(copy.deepcopy(pretrained))) != fingerprint(copy.deepcopy(pretrained))


def test_the_fingerprint_changes_with_the_precision(pretrained: SiameseEncoder) -> None:
    assert fingerprint(copy.deepcopy(pretrained), "bf16") != fingerprint(copy.deepcopy(pretrained))


def test_the_fingerprint_is_the_same_for_the_same_encoder(pretrained: SiameseEncoder) -> None:
    assert fingerprint(copy.deepcopy(pretrained)) == fingerprint(create("efficientnet-lite0", image_size=96))


# -- settings -----------------------------------------------------------------------------------------------------


def test_bf16_is_near_fp32(embedder: Embedder, pretrained: SiameseEncoder, files: list[Path]) -> None:
    half = Embedder(copy.deepcopy(pretrained), device="cpu", precision="bf16").embed(files)
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)
    assert (half * embedder.embed(files)).sum(axis=1).min() > 0.99


def test_settings_that_cannot_work_are_refused(pretrained: SiameseEncoder) -> None:
    with pytest.raises(UserError, match="device tpu9"):
        choose_device("tpu9")
    with pytest.raises(UserError, match="precision fp16"):
        choose_precision("fp16", torch.device("cpu"), pretrained)
    with pytest.raises(UserError, match="efficientnet-lite0"):
        open_embedder("efficientnet-lite", Path("checkpoints"))


# -- each content once --------------------------------------------------------------------------------------------


def test_distinct_contents_are_encoded_once(embedder: Embedder, files: list[Path], tmp_path: Path) -> None:
    encoded_photos: list[int] = []
    hook = embedder._encoder.register_forward_pre_hook(lambda _, inputs: encoded_photos.append(len(inputs[0])))
    copied = tmp_path / "copy.jpg"
    copied.write_bytes(files[0].read_bytes())
    pixels = smooth_rgb()
    broken = UNREADABLE["truncated JPEG"](tmp_path)
    photos = [files[0], copied, str(files[0]), files[0].read_bytes(), files[1]]
    photos += [pixels, pixels.copy(), Image.fromarray(pixels), broken, broken]
    store = EmbeddingStore(None, embedder.fingerprint, embedder.dimension)
    try:
        vectors, errors = embed_unique(embedder, photos, store)
        assert sum(encoded_photos) == 3
        encoded_photos.clear()
        embed_unique(embedder, photos, store)
        assert sum(encoded_photos) == 0
    finally:
        hook.remove()
    assert errors.keys() == {8, 9}
    assert all(str(broken) in str(error) for error in errors.values())
    assert np.isnan(vectors[8:]).all()
    for same in ((0, 1, 2, 3), (5, 6, 7)):
        assert all((vectors[same[0]] == vectors[i]).all() for i in same)
    np.testing.assert_allclose(vectors[[0, 4]], embedder.embed(files[:2]), atol=1e-5)
