from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siamclip.data.image.decode import decode
from siamclip.data.image.preprocess import CLIP_MEAN, CLIP_STD, Geometry, Preprocessing, resized_size
from siamclip.errors import ImageError, UserError
from tests.hostile import encoded, smooth_rgb, with_orientation
from tests.reference_data import reference_data

EXACT = Preprocessing(geometry="crop", reduced_decode=False)
SIZES = [(224, 224), (225, 224), (224, 225), (333, 500), (501, 334), (640, 427), (91, 137), (1, 1), (17, 900)]


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("geometry", "resize_mode"), [("crop", "shortest"), ("squash", "squash")])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_equals_open_clip(geometry, resize_mode, interpolation, width: int, height: int) -> None:
    from open_clip.transform import image_transform

    for size in (32, 97):
        ours = replace(EXACT, size=size, geometry=geometry, interpolation=interpolation)
        theirs = image_transform(size, False, CLIP_MEAN, CLIP_STD, resize_mode=resize_mode, interpolation=interpolation)
        image = noise(width, height)
        expected = theirs(Image.fromarray(image))
        actual = ours.normalise(torch.from_numpy(ours.fit(image))[None])[0]
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


def test_equals_the_published_clip_reference() -> None:
    photo = reference_data("clip-reference/franz-kafka.jpg")
    expected = reference_data("clip-reference/expected_preprocessed_image.npy")
    if photo is None or expected is None:
        pytest.skip("clip-reference is not there; SIAMCLIP_REFERENCE_DATA names the folder that holds it")
    actual = EXACT.normalise(torch.from_numpy(EXACT.load(photo))[None]).numpy()
    assert np.abs(actual - np.load(expected)).max() < 1e-4


@settings(max_examples=40)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(["squash", "pad", "crop"]), st.booleans())
def test_always_a_square_of_the_size_asked_for(width, height, geometry, reduced) -> None:
    preprocessing = Preprocessing(size=40, geometry=geometry, reduced_decode=reduced)
    if geometry == "crop" and max(width, height) > 100 * min(width, height):
        with pytest.raises(ImageError, match="elongated"):
            preprocessing.fit(noise(width, height))
        return
    square = preprocessing.fit(noise(width, height))
    assert square.shape == (40, 40, 3) and square.dtype == np.uint8 and square.flags.c_contiguous


@settings(max_examples=40)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 64),
    st.sampled_from(["bicubic", "bilinear"]),
    st.integers(0, 9),
)
def test_vectorised_resampling_is_pillows(width, height, size, interpolation, seed) -> None:
    fast = Preprocessing(size=size, interpolation=interpolation)
    image = 64 + noise(width, height, seed) // 2  # bicubic stays inside 0..255: nothing is clipped on the way
    exact = replace(fast, reduced_decode=False).fit(image)
    assert np.abs(fast.fit(image).astype(int) - exact).max() <= 2  # each rounds twice, in an order of its own


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 400))
def test_resized_size_laws(width: int, height: int, size: int) -> None:
    crop, pad = (resized_size((width, height), size, geometry) for geometry in ("crop", "pad"))
    assert min(crop) == size
    assert max(pad) == size and min(pad) >= 1
    assert resized_size((width, height), size, "squash") == (size, size)
    for geometry, (new_width, new_height) in (("crop", crop), ("pad", pad)):
        assert resized_size((height, width), size, geometry) == (new_height, new_width)
        if min(new_width, new_height) > 1:
            assert abs(new_width * height - new_height * width) <= max(width, height)  # within one pixel


@pytest.mark.parametrize(("width", "height", "bars"), [(300, 150, (16, 0)), (150, 300, (0, 16))])
def test_pad_keeps_the_whole_image_between_bars_of_the_mean(width, height, bars) -> None:
    preprocessing = Preprocessing(size=64, geometry="pad", reduced_decode=False)
    square = preprocessing.fit(noise(width, height))
    top, left = bars
    target = (64 - 2 * left, 64 - 2 * top)
    expected = np.asarray(Image.fromarray(noise(width, height)).resize(target, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(square[top : 64 - top, left : 64 - left], expected)
    bar = square[:top] if top else square[:, :left]
    assert preprocessing.pad_color == (123, 117, 104)  # 255 times CLIP's mean
    np.testing.assert_array_equal(bar, np.broadcast_to(np.uint8([123, 117, 104]), bar.shape))
    normalised = preprocessing.normalise(torch.from_numpy(np.ascontiguousarray(bar))[None])
    assert normalised.abs().max() < 0.5 / 255 / min(CLIP_STD) + 1e-6


def test_crop_is_in_the_middle() -> None:
    image = np.zeros((64, 192, 3), np.uint8)
    image[:, 64:128] = 255
    assert (replace(EXACT, size=64).fit(image) == 255).all()


@pytest.mark.parametrize("geometry", ["squash", "pad", "crop"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_load_at_reduced_scale_is_close_to_full_scale(geometry: Geometry, orientation: int) -> None:
    data = with_orientation(orientation, image=smooth_rgb(640, 420))
    fast = Preprocessing(size=64, geometry=geometry)
    difference = np.abs(fast.load(data).astype(int) - replace(fast, reduced_decode=False).load(data))
    assert difference.max() <= 4
    assert fast.min_side == 112 and decode(data, fast.min_side).shape[0] < decode(data).shape[0]


def test_load_is_decode_and_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise(50, 40), "PNG"))
    np.testing.assert_array_equal(EXACT.load(path), EXACT.fit(decode(path)))
    with pytest.raises(ImageError):
        EXACT.load(tmp_path)


def test_a_read_only_image_can_be_fitted() -> None:
    image = noise(50, 40)
    image.flags.writeable = False
    assert Preprocessing(size=8).fit(image[:, ::-1]).shape == (8, 8, 3)


def test_normalise_against_a_naive_loop() -> None:
    batch = np.stack([noise(5, 5, seed) for seed in range(3)])
    actual = Preprocessing(size=5).normalise(torch.from_numpy(batch))
    assert actual.shape == (3, 3, 5, 5) and actual.dtype == torch.float32 and actual.is_contiguous()
    for (n, y, x, c), value in np.ndenumerate(batch):
        expected = (value / 255 - CLIP_MEAN[c]) / CLIP_STD[c]
        assert actual[n, c, y, x].item() == pytest.approx(expected, abs=1e-6)


@given(
    st.builds(
        Preprocessing,
        size=st.integers(1, 1024),
        mean=st.tuples(*[st.floats(0, 1)] * 3),
        std=st.tuples(*[st.floats(1e-6, 1)] * 3),
        interpolation=st.sampled_from(["bicubic", "bilinear"]),
        geometry=st.sampled_from(["squash", "pad", "crop"]),
        reduced_decode=st.booleans(),
    )
)
def test_survives_json(preprocessing: Preprocessing) -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size"),
        ({"size": 22.5}, "size"),
        ({"size": True}, "size"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": [0.5, 0.5, 123.0]}, "mean"),
        ({"mean": 0.5}, "mean"),
        ({"std": [0.2, 0.0, 0.2]}, "std"),
        ({"std": [0.2, float("nan"), 0.2]}, "std"),
        ({"interpolation": "nearest"}, "interpolation"),
        ({"geometry": "stretch"}, "geometry"),
        ({"geometry": ["pad"]}, "geometry"),
        ({"reduced_decode": 1}, "reduced_decode"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_value_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Preprocessing.from_dict(Preprocessing().to_dict() | change)


def test_a_missing_key_is_named() -> None:
    values = Preprocessing().to_dict()
    del values["std"]
    with pytest.raises(UserError, match="std"):
        Preprocessing.from_dict(values)
