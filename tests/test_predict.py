"""Prediction: the API against a plain forward pass, and the script as a person runs it."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from config import PredictConfig
from predict import Comparison, ImageSimilarityPredictor, chosen_mode, main
from siamclip.data.image.decode import decode
from siamclip.errors import ImageError, UserError
from siamclip.metrics.calibration import calibration_from_dict, fit_calibration
from siamclip.models.checkpoint import METADATA, load_encoder, save
from siamclip.models.encoder import create
from tests.hostile import UNREADABLE

ROOT = Path(__file__).parents[1]
THRESHOLD = 0.45
Runner = Callable[..., None]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run with a threshold and a calibration, as training leaves it."""
    root = tmp_path_factory.mktemp("checkpoints")
    encoder = create("efficientnet-lite0", image_size=96)
    chance = np.random.default_rng(0)
    distances = np.concatenate([chance.normal(0.3, 0.1, 80), chance.normal(0.7, 0.15, 80)])
    metadata = {
        "run": "trained",
        "encoder": encoder.spec.to_dict(),
        "threshold": {"value": THRESHOLD, "rule": "f1", "chosen_on": "validation"},
        "calibration": fit_calibration(distances, np.arange(160) < 80, "platt").to_dict(),
    }
    save(root / "trained" / "best", {"weights": encoder.tower.state_dict()}, metadata)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight different photos, a copy of the first in a folder below, and a file that only looks like one."""
    folder = tmp_path_factory.mktemp("photos")
    chance = np.random.default_rng(1)
    for i in range(8):
        blocks = chance.integers(0, 256, (3 + i, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((150, 120), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=92)
    (folder / "below").mkdir()
    (folder / "below" / "copy.jpg").write_bytes((folder / "0.jpg").read_bytes())
    UNREADABLE["text named .jpg"](folder)
    return folder


@pytest.fixture(scope="module")
def predictor(checkpoints: Path) -> ImageSimilarityPredictor:
    return open_cached(checkpoints, None)


def open_cached(checkpoints: Path, cache: Path | None) -> ImageSimilarityPredictor:
    return ImageSimilarityPredictor(
        checkpoint_dir=checkpoints, device="cpu", precision="fp32", embedding_cache=cache, batch_size=4
    )


def naive_distance(checkpoints: Path, a: Path, b: Path) -> float:
    encoder, _ = load_encoder(checkpoints / "trained" / "best")
    preprocessing = encoder.spec.preprocessing
    with torch.inference_mode():
        u, v = (
            encoder(preprocessing.normalise(torch.from_numpy(preprocessing.load(path)[None])))[0].double()
            for path in (a, b)
        )
    return math.sqrt(max(0.0, 2 - 2 * float(u @ v / (u.norm() * v.norm()))))


@contextmanager
def count_encoded(predictor: ImageSimilarityPredictor) -> Iterator[list[int]]:
    """The number of photos of each batch that goes through the network meanwhile."""
    batches: list[int] = []
    encoder = predictor.embedder._encoder
    hook = encoder.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    try:
        yield batches
    finally:
        hook.remove()


# -- the API ------------------------------------------------------------------------------------------------------


def test_a_prediction_is_what_the_checkpoint_says(
    predictor: ImageSimilarityPredictor, checkpoints: Path, photos: Path
) -> None:
    metadata = json.loads((checkpoints / "trained" / "best" / METADATA).read_text(encoding="utf-8"))
    calibration = calibration_from_dict(metadata["calibration"])
    for other in ("1.jpg", "2.jpg", "5.jpg"):
        is_same, distance, confidence = predictor.predict(photos / "0.jpg", photos / other, return_distance=True)
        assert distance == pytest.approx(naive_distance(checkpoints, photos / "0.jpg", photos / other), abs=1e-5)
        assert is_same is (distance <= THRESHOLD)
        probability = calibration.probability(np.array([distance]))[0]
        assert confidence == pytest.approx(probability if is_same else 1 - probability)
        assert predictor.predict(photos / "0.jpg", photos / other, return_distance=False) == (is_same, confidence)


def test_an_identical_photo_is_the_same_at_distance_zero(predictor: ImageSimilarityPredictor, photos: Path) -> None:
    for copied in (photos / "0.jpg", photos / "below" / "copy.jpg", (photos / "0.jpg").read_bytes()):
        is_same, distance, confidence = predictor.predict(photos / "0.jpg", copied)
        assert is_same
        assert distance == 0.0
        assert confidence > 0.75


def test_the_order_of_the_photos_does_not_matter(predictor: ImageSimilarityPredictor, photos: Path) -> None:
    there, back = predictor.predict_batch([(photos / "1.jpg", photos / "2.jpg"), (photos / "2.jpg", photos / "1.jpg")])
    assert there == back


def test_paths_images_and_arrays_agree(predictor: ImageSimilarityPredictor, photos: Path) -> None:
    a, b = photos / "1.jpg", photos / "2.jpg"
    expected = predictor.predict(a, b).distance
    for form in (str, Path.read_bytes, Image.open, decode):
        assert predictor.predict(form(a), b).distance == pytest.approx(expected, abs=1e-5)


def test_a_batch_equals_single_predictions_and_encodes_each_photo_once(
    predictor: ImageSimilarityPredictor, photos: Path
) -> None:
    names = [photos / f"{i}.jpg" for i in range(8)]
    pairs: list[tuple[Any, Any]] = [(a, b) for a in names for b in names]
    pairs += [(photos / "below" / "copy.jpg", names[1]), (decode(names[2]), Image.open(names[2]))]
    with count_encoded(predictor) as batches:
        together = predictor.predict_batch(iter(pairs))
    assert sum(batches) == 9  # the eight files, and one as pixels
    for pair, comparison in list(zip(pairs, together, strict=True))[::7]:
        alone = predictor.predict(*pair)
        assert comparison.is_same == alone.is_same
        assert comparison.distance == pytest.approx(alone.distance, abs=1e-5)
        assert comparison.confidence == pytest.approx(alone.confidence, abs=1e-3)
    assert predictor.predict_batch([]) == []


def test_an_unreadable_photo_is_an_error_that_names_it(predictor: ImageSimilarityPredictor, photos: Path) -> None:
    pairs = [(photos / "0.jpg", photos / "text.jpg"), (photos / "0.jpg", photos / "1.jpg")]
    with pytest.raises(ImageError, match=r"text\.jpg"):
        predictor.predict_batch(pairs)
    error, comparison = predictor.try_pairs(pairs)
    assert isinstance(error, ImageError)
    assert isinstance(comparison, Comparison)
    with pytest.raises(ImageError, match="must lie in"):
        predictor.predict(np.full((4, 4), np.nan), photos / "0.jpg")


def test_a_search_ranks_as_pairs_do(predictor: ImageSimilarityPredictor, photos: Path) -> None:
    found = predictor.find_similar_images(photos / "3.jpg", photos, top_k=4)
    files = [photos / f"{i}.jpg" for i in range(8)] + [photos / "below" / "copy.jpg"]
    compared = predictor.predict_batch((photos / "3.jpg", file) for file in files)
    distances = {file: comparison.distance for file, comparison in zip(files, compared, strict=True)}
    assert [distance for _, distance, _ in found] == pytest.approx(sorted(distances.values())[:4], abs=1e-5)
    assert found[0] == (photos / "3.jpg", 0.0, predictor.rule.probability_same(0.0))
    for path, distance, probability in found:
        assert distance == pytest.approx(distances[path], abs=1e-5)
        assert probability == predictor.rule.probability_same(distance)


def test_a_search_gives_all_there_are_and_counts_the_unreadable(
    predictor: ImageSimilarityPredictor, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predictor.find_similar_images(photos / "3.jpg", photos, top_k=99)
    assert len(whole) == 9
    candidates = [photos / "text.jpg", *(photos / f"{i}.jpg" for i in range(8)), photos / "below" / "copy.jpg"]
    monkeypatch.setattr("predict.BLOCK", 2)
    done: list[int] = []
    in_blocks = predictor.search(photos / "3.jpg", candidates, 99, done.append)
    assert sum(done) == len(candidates)
    assert [(p, d) for p, d, _ in in_blocks.nearest] == sorted(
        ((p, d) for p, d, _ in whole), key=lambda found: (found[1], candidates.index(found[0]))
    )
    assert list(in_blocks.unreadable) == [photos / "text.jpg"]


def test_a_second_search_encodes_nothing(checkpoints: Path, photos: Path, tmp_path: Path) -> None:
    first = open_cached(checkpoints, tmp_path)
    with count_encoded(first) as batches:
        found = first.find_similar_images(photos / "3.jpg", photos)
    assert sum(batches) == 8  # the query is one of them
    second = open_cached(checkpoints, tmp_path)
    with count_encoded(second) as batches:
        assert second.find_similar_images(photos / "3.jpg", photos) == found
    assert batches == []


def test_what_cannot_be_searched_is_refused(predictor: ImageSimilarityPredictor, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no photo"):
        predictor.find_similar_images(photos / "0.jpg", tmp_path)
    with pytest.raises(UserError, match="No such file"):
        predictor.find_similar_images(photos / "0.jpg", tmp_path / "none")
    UNREADABLE["zero bytes"](tmp_path)
    with pytest.raises(UserError, match="none of 1 photos"):
        predictor.find_similar_images(photos / "0.jpg", tmp_path)
    with pytest.raises(UserError, match="top_k"):
        predictor.find_similar_images(photos / "0.jpg", photos, top_k=0)


def test_zero_shot_has_the_fixed_threshold_and_no_confidence(photos: Path) -> None:
    predictor = ImageSimilarityPredictor("none", "efficientnet-lite0", device="cpu", precision="fp32")
    assert predictor.rule.threshold == 0.5
    is_same, distance, confidence = predictor.predict(photos / "0.jpg", photos / "1.jpg")
    assert is_same is (distance <= 0.5)
    assert math.isnan(confidence)
    assert math.isnan(predictor.predict(photos / "0.jpg", photos / "1.jpg", return_distance=False).confidence)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"threshold": 2.5}, r"threshold 2\.5: must be in \[0, 2\]"),
        ({"threshold": math.nan}, "threshold nan"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"model": "resnet50"}, "model: a checkpoint brings its own"),
        ({"weights": "random"}, "weights: a checkpoint brings its own"),
        ({"checkpoint": "other"}, "checkpoint other: .* or checkpoint none"),
        ({"checkpoint": "none", "model": "ViT-B/33"}, "did you mean ViT-B/32"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], says: str, checkpoints: Path) -> None:
    with pytest.raises(UserError, match=says):
        ImageSimilarityPredictor(**{"checkpoint_dir": checkpoints, **settings})


def test_without_a_checkpoint_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train one .* checkpoint none"):
        ImageSimilarityPredictor(checkpoint_dir=tmp_path)


# -- the command line, in this process ----------------------------------------------------------------------------


@pytest.fixture
def run(checkpoints: Path, tmp_path: Path) -> Runner:
    def run(*arguments: object) -> None:
        fixed = ["--checkpoint_dir", checkpoints, "--embedding_cache", tmp_path / "cache", "--device", "cpu"]
        main([str(argument) for argument in [*arguments, *fixed, "--precision", "fp32"]])

    return run


def test_two_photos(run: Runner, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--img1", photos / "0.jpg", "--img2", photos / "below" / "copy.jpg")
    words = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert dict(words[:2]) == {"answer": "same", "distance": "0.0000"}  # type: ignore[arg-type]
    assert words[3] == ["threshold", "0.4500 (f1 on validation)"]
    assert words[4] == ["model", "trained"]


def test_two_photos_as_json_with_a_figure(
    run: Runner, predictor: ImageSimilarityPredictor, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "figure.png"
    run("--img1", photos / "0.jpg", "--img2", photos / "1.jpg", "--threshold", 0.1, "--json", "--figure", figure)
    answer = json.loads(capsys.readouterr().out)
    expected = predictor.predict(photos / "0.jpg", photos / "1.jpg")
    assert answer["distance"] == pytest.approx(expected.distance, abs=1e-5)
    assert answer["is_same"] is (expected.distance <= 0.1)
    assert (answer["threshold"], answer["threshold_origin"]) == (0.1, "as given")
    assert min(decode(figure).shape[:2]) > 100


def test_a_table_of_pairs(run: Runner, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ("0.jpg", "text.jpg", "", "0.jpg", "no\nne.jpg")
    second = ("0.jpg", "0.jpg", "0.jpg", str(photos / "1.jpg"), "0.jpg")
    rows = [(a, b, f"第{i}") for i, (a, b) in enumerate(zip(first, second, strict=True))]
    table, out = photos / "pairs.csv", tmp_path / "results.csv"
    with table.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("img1", "img2", "备注"), *rows])
    run("--pairs", table, "--out", out, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["pairs"] == 5
    assert summary["counts"]["unreadable"] == 3
    with out.open(encoding="utf-8", newline="") as file:
        results = list(csv.DictReader(file))
    assert [(row["img1"], row["img2"], row["备注"]) for row in results] == rows
    assert [bool(row["error"]) for row in results] == [False, True, True, False, True]
    assert [bool(row["answer"]) for row in results] == [True, False, False, True, False]
    assert (results[0]["answer"], float(results[0]["distance"])) == ("same", 0.0)
    assert "text.jpg: not a JPEG" in results[1]["error"]


def test_a_table_that_cannot_be_answered_leaves_what_was_there(
    run: Runner, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(f"img1,img2\n{photos / '0.jpg'},{photos / '1.jpg'}\n")
    nowhere = tmp_path / "no" / "out.csv"
    for out, says in ((nowhere, "create it first"), (tmp_path, "is a folder"), (table, "same file")):
        with pytest.raises(SystemExit) as stop:
            run("--pairs", table, "--out", out)
        assert stop.value.code == 2
        assert says in capsys.readouterr().err
    assert table.read_text().startswith("img1,img2\n")


def test_a_search_lists_the_nearest_and_the_unreadable(
    run: Runner, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("two\nlines.jpg", "\x1b[31mred.jpg", "京A12345.JPG"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes((photos / "0.jpg").read_bytes())
    (tmp_path / "in" / "far.jpg").write_bytes((photos / "5.jpg").read_bytes())
    UNREADABLE["truncated JPEG"](tmp_path / "in")
    search = ("--query", photos / "0.jpg", "--folder", tmp_path / "in", "--top_k")
    run(*search, 3)
    printed = capsys.readouterr()
    assert printed.out.isascii() is False
    assert "\x1b" not in printed.out
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines] == ["rank", "1", "2", "3", "threshold", "model"]
    assert all("0.0000" in line for line in lines[1:4])
    assert printed.err.startswith("1 of 5 photos cannot be read:")
    run(*search, 99, "--json")
    found = json.loads(capsys.readouterr().out)
    assert [photo["rank"] for photo in found["nearest"]] == [1, 2, 3, 4]
    assert Path(found["nearest"][-1]["path"]).name == "far.jpg"
    assert [Path(photo["path"]).name for photo in found["unreadable"]] == ["truncated.jpg"]


TWO = {"img1": "a", "img2": "b"}
HALVES = [{name: "a"} for name in ("img1", "img2", "pairs", "out", "query", "folder")]
USELESS_FIGURES = [{"query": "a", "folder": "b", "figure": "c.png"}, TWO | {"figure": "/no/such/folder/c.png"}]


@pytest.mark.parametrize("settings", [{}, TWO | {"query": "a"}, *HALVES, *USELESS_FIGURES])
def test_one_mode_must_be_given_whole(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        chosen_mode(PredictConfig(**settings))
    assert "--" in raised.value.told("--{}".format)  # which flags are at fault, or wanted


# -- the script itself --------------------------------------------------------------------------------------------


def script(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "predict.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ | environment, check=False)


BROKEN = {
    "vanished": "no such file",
    "directory": "a directory",
    "truncated JPEG": "truncated",
    "text named .jpg": "not a jpeg",
    "zero bytes": "the file is empty",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_photo_is_one_line_and_code_2(broken: str, photos: Path, checkpoints: Path, tmp_path: Path) -> None:
    path = UNREADABLE[broken](tmp_path)
    ended = script("--img1", photos / "0.jpg", "--img2", path, "--checkpoint_dir", checkpoints, "--device", "cpu")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.lower().startswith(f"error: {str(path).lower()}")
    assert BROKEN[broken] in ended.stderr.lower()
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_names_that_no_terminal_can_show_are_escaped(photos: Path, checkpoints: Path, tmp_path: Path) -> None:
    for name in (b"latin-\xe9.jpg", "京 🚗.jpg".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes((photos / "0.jpg").read_bytes())
    search = ("--query", photos / "0.jpg", "--folder", tmp_path, "--checkpoint_dir", checkpoints, "--device", "cpu")
    cache = ("--embedding_cache", tmp_path / ".cache")
    plain = script(*search, *cache, PYTHONIOENCODING="ascii")
    assert plain.returncode == 0, plain.stderr
    assert r"latin-\udce9.jpg" in plain.stdout
    assert r"\u4eac" in plain.stdout
    as_json = script(*search, *cache, "--json", PYTHONIOENCODING="ascii")
    names = {Path(photo["path"]).name for photo in json.loads(as_json.stdout)["nearest"]}
    assert names == {"latin-\udce9.jpg", "京 🚗.jpg"}
