"""evaluate.py from photos to report, its figures against direct computation on the same embeddings."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from config import EvaluateConfig, TrainConfig
from evaluate import evaluate, protocol_of
from siamclip.data.collection import Collection
from siamclip.embedding.embedder import open_embedder
from siamclip.errors import UserError
from siamclip.evaluation.measurement.cloned_plates import pairs_by_plate
from siamclip.models import checkpoint
from siamclip.models.encoder import create

TRAIN, VAL = ["a", "b"], ["c", "d", "e"]
TEST = ["京A12345", "京A12345~2", "<script>alert(1)<", "🚗 one", "line\nbreak"]
PHOTOS = 3
SIZE = 64


def draw(folder: Path, names: list[str]) -> None:
    """A mosaic an identity, each photo with its own noise and light: alike, but not too easy to tell apart."""
    for name in names:
        rng = np.random.default_rng(sum(name.encode()))
        tiles = rng.integers(40, 216, (4, 4, 3))
        (folder / name).mkdir(parents=True)
        for number in range(PHOTOS):
            photo = np.kron(tiles, np.ones((16, 16, 1))) * rng.uniform(0.5, 1.1) + rng.normal(0, 60, (64, 64, 3))
            Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ with eleven identities, one of them unknown to the checkpoint, and checkpoints/run/best."""
    folder = tmp_path_factory.mktemp("evaluate")
    draw(folder / "photos", [*TRAIN, *VAL, *TEST])
    (folder / "photos" / "a" / "notes.txt").touch()
    whole = (folder / "photos" / "京A12345" / "0.png").read_bytes()
    (folder / "photos" / "京A12345" / "cut.png").write_bytes(whole[: len(whole) // 2])  # its header is well
    encoder = create("efficientnet-lite0", image_size=SIZE)
    metadata = {
        "run": "run",
        "encoder": encoder.spec.to_dict(),
        "config": dataclasses.asdict(TrainConfig(model="efficientnet-lite0", image_size=SIZE)),
        "split": {"train": TRAIN, "val": VAL, "test": TEST[:-1]},
        "threshold": {"value": 0.6, "rule": "f1", "chosen_on": "validation"},
        "calibration": {"method": "platt", "slope": 10.0, "offset": -6.0},
    }
    checkpoint.save(folder / "checkpoints" / "run" / "best", {"weights": encoder.tower.state_dict()}, metadata)
    return folder


def settings(place: Path, **changes: Any) -> EvaluateConfig:
    return EvaluateConfig(
        **{
            "data_dir": str(place / "photos"),
            "checkpoint_dir": str(place / "checkpoints"),
            "device": "cpu",
            "bootstrap_replicates": 20,
            "out": str(place / "report"),
            **changes,
        }
    )


@pytest.fixture(scope="module")
def report(place: Path) -> tuple[Path, str]:
    """The folder of one report, and what was printed."""
    console = Console(file=io.StringIO(), width=120)
    with (place / "clones.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [("京A12345/0.png", "京A12345~2/0.png", 0), ("京A12345/0.png", "京A12345/1.png", 1)]
        rows += [("a/0.png", "b/0.png", 0), ("gone.png", "a/0.png", 0)]
        csv.writer(file).writerows([("path_a", "path_b", "same", "plate"), *((*row, "京A12345") for row in rows)])
    config = settings(place, cloned_pairs=str(place / "clones.csv"), compare=("run",))
    page = evaluate(config, console)
    assert page == place / "report" / "report.html"
    return page.parent, console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def results(report: tuple[Path, str]) -> dict[str, Any]:
    return json.loads((report[0] / "metrics.json").read_text(encoding="utf-8"))


def pairs_of(place: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances (P,), same (P,) and weights (P,) to halves, of all pairs of readable photos of these identities."""
    files = [file for name in names for file in sorted((place / "photos" / name).glob("[0-9].png"))]
    labels = np.array([file.parent.name for file in files])
    embedder, _ = open_embedder("run", place / "checkpoints", device="cpu")
    vectors = embedder.embed(files)
    a, b = np.triu_indices(len(files), k=1)
    same = labels[a] == labels[b]
    distances = np.linalg.norm(vectors[a] - vectors[b], axis=1).astype(np.float64)
    return distances, same, np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())


def test_figures_are_those_of_the_embeddings(place: Path, results: dict[str, Any]) -> None:
    distances, same, weights = pairs_of(place, TEST)
    figures, threshold = results["figures"], results["decision"]["threshold"]
    assert results["pairs"] == {"same": 15, "different": 90, "different_existing": 90, "positive_ratio": 0.5}
    expected = {
        "auc": roc_auc_score(same, -distances),
        "average_precision": average_precision_score(same, -distances, sample_weight=weights),
        "f1": f1_score(same, distances <= threshold, sample_weight=weights),
        "far": (distances <= threshold)[~same].mean(),
    }
    for name, value in expected.items():
        assert figures[name]["value"] == pytest.approx(value, abs=1e-4), name
        assert figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"], name
    cells = results["confusion"]
    assert cells["tp"] == np.count_nonzero((distances <= threshold) & same)
    assert sum(cells.values()) == 105


def test_threshold_is_the_best_of_validation(place: Path, results: dict[str, Any]) -> None:
    distances, same, weights = pairs_of(place, VAL)
    best = max(f1_score(same, distances <= t, sample_weight=weights) for t in distances)
    chosen = distances <= results["decision"]["threshold"]
    assert f1_score(same, chosen, sample_weight=weights) == pytest.approx(best)
    assert results["validation"]["f1"]["value"] == pytest.approx(best, abs=1e-6)
    assert results["decision"]["chosen_on"] == "validation"


def test_unreadable_photos_are_dropped_and_listed(results: dict[str, Any]) -> None:
    photos = results["photos"]
    assert (photos["evaluated"], photos["identities"], photos["validation"]) == (15, 5, 9)
    assert {Path(file["path"]).name for file in photos["files_left_out"]} == {"notes.txt", "cut.png"}
    assert sum(photos["left_out"].values()) == 2


def test_pairs_csv_has_every_pair_and_its_answer(report: tuple[Path, str], results: dict[str, Any]) -> None:
    with (report[0] / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path_a", "path_b", "same", "distance", "probability", "predicted"]
    assert len({frozenset((row["path_a"], row["path_b"])) for row in rows}) == len(rows) == 105
    wrong = sum(row["same"] != row["predicted"] for row in rows)
    assert wrong == results["confusion"]["fp"] + results["confusion"]["fn"]
    assert {Path(row["path_a"]).parts[0] for row in rows} <= set(TEST)
    for row in rows:
        assert (row["same"] == "1") == (row["path_a"].split("/")[0] == row["path_b"].split("/")[0])


def test_pretrained_and_named_embedders_are_compared(report: tuple[Path, str], results: dict[str, Any]) -> None:
    names = [row["name"] for row in results["comparison"]]
    assert names == ["run", f"efficientnet-lite0 pretrained, {SIZE} px", "run (2)"]
    # The checkpoint holds the pretrained weights, so all three must agree.
    aucs = [row["figures"]["auc"] for row in results["comparison"]]
    assert aucs[0] == aucs[1] == aucs[2]
    with (report[0] / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["embedder"] for row in rows] == names
    assert float(rows[1]["auc_low"]) == pytest.approx(aucs[1]["low"], abs=1e-6)


def test_cloned_plates_are_a_stratum_of_their_own(report: tuple[Path, str], results: dict[str, Any]) -> None:
    clones = results["cloned_plates"]
    assert (clones["pairs"], clones["clones"], clones["same"], clones["outside"]) == (2, 1, 1, 1)
    assert clones["missing"] == ["gone.png"]
    with (report[0] / "pairs.csv").open(encoding="utf-8", newline="") as file:
        answer = {frozenset((row["path_a"], row["path_b"])): row["predicted"] for row in csv.DictReader(file)}
    judged = answer[frozenset(("京A12345/0.png", "京A12345~2/0.png"))]
    assert clones["figures"]["clones_judged_different"]["value"] == (judged == "0")


def test_the_page_is_whole_and_safe(report: tuple[Path, str]) -> None:
    page = (report[0] / "report.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page
    assert 'src="http' not in page
    assert page.count('src="data:image/png') == 8
    assert {path.name for path in report[0].glob("*.png")} == {
        f"{name}.png"
        for name in ("confusion_matrix", "distance_histogram", "roc", "det", "precision_recall", "threshold_sweep",
                     "reliability", "cloned_plates")
    }  # fmt: skip


def test_what_is_printed_names_report_and_notes(report: tuple[Path, str]) -> None:
    assert f"report: {report[0] / 'report.html'}" in report[1]
    assert "Only 5 identities" in report[1]
    assert "1 not an image" in report[1]


def test_clones_come_from_folder_names_without_a_csv(place: Path) -> None:
    found = pairs_by_plate(Collection.from_folder(place / "photos"))
    assert set(found.plates) == {"京A12345"}
    # Three photos of one vehicle and four of the other: the header of the one that is cut is well.
    assert (np.count_nonzero(~found.pairs.same), np.count_nonzero(found.pairs.same)) == (12, 9)


def test_without_validation_identities_the_stored_threshold_is_used_and_said(place: Path, tmp_path: Path) -> None:
    draw(tmp_path / "photos", TEST)
    folders = {"data_dir": str(tmp_path / "photos"), "out": str(tmp_path / "out")}
    config = settings(place, max_negative_pairs=50, bootstrap_replicates=0, **folders)
    evaluate(config, Console(file=io.StringIO()))
    results = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert (results["decision"]["threshold"], results["decision"]["chosen_on"]) == (0.6, "checkpoint")
    assert any("the checkpoint stores" in warning for warning in results["warnings"])
    assert results["comparison"][1]["threshold"] is None
    assert "f1" not in results["comparison"][1]["figures"]
    assert results["figures"]["auc"]["low"] is None
    # 50 of 90 different pairs were drawn: the rates over all of them are given too
    assert (results["pairs"]["different"], results["all_pairs"]["different"]) == (50, 90)
    with pytest.raises(UserError, match="no threshold can be chosen"):
        evaluate(dataclasses.replace(config, target_far=0.1), Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("split", "named", "said"),
    [
        (None, [*VAL, "new"], ""),
        ("all", [*TRAIN, *VAL, "new"], "trained on 2 of these 6 identities: these figures flatter"),
        ("all", ["new", "newer"], ""),
        (None, ["new", "newer"], ""),
        ("val", VAL, "chosen on 3 of these 3 identities: these figures flatter"),
    ],
)
def test_that_figures_flatter_is_said_where_they_do(
    place: Path, tmp_path: Path, split: Any, named: list[str], said: str
) -> None:
    draw(tmp_path / "photos", named)
    folders = {"data_dir": str(tmp_path / "photos"), "out": str(tmp_path / "out")}
    if split is None and "new" in named and "c" in named:
        draw(tmp_path / "photos", ["newest"])  # two are needed to tell apart
    config = settings(place, split=split, bootstrap_replicates=0, **folders)
    console = Console(file=io.StringIO(), width=120)
    evaluate(config, console)
    results = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    flattering = [warning for warning in results["warnings"] if "flatter" in warning]
    if said:
        assert said in flattering[0]
        assert said in console.file.getvalue()  # type: ignore[attr-defined]
    else:
        assert flattering == []
    if named == ["new", "newer"]:
        assert (results["photos"]["identities"], results["photos"]["evaluated"]) == (2, 2 * PHOTOS)
        assert results["side"] == ("all identities" if split else "unseen identities")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_dir": "nowhere"}, "no such folder"),
        ({"checkpoint": "nowhere"}, "no checkpoint there"),
        ({"compare": ("no-such-model",)}, "compare no-such-model"),
        ({"threshold_rule": "far"}, "needs target_far"),
        ({"threshold_rule": "eer", "target_far": 0.1}, "contradicts"),
    ],
)
def test_bad_settings_are_refused(place: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        evaluate(settings(place, **{"out": str(tmp_path / "out"), **changes}), Console(file=io.StringIO()))
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_report_among_the_photos_is_refused(place: Path) -> None:
    with pytest.raises(UserError, match="lies among the photos"):
        evaluate(settings(place, out=str(place / "photos" / "report")), Console(file=io.StringIO()))


def test_no_identity_is_left_to_evaluate(place: Path, tmp_path: Path) -> None:
    draw(tmp_path / "photos", TRAIN)
    with pytest.raises(UserError, match="none of its 2 identities is among the test identities"):
        evaluate(settings(place, data_dir=str(tmp_path / "photos"), out=str(tmp_path / "out")), Console())


def test_target_far_sets_the_rule(place: Path) -> None:
    assert protocol_of(settings(place, target_far=0.01)).rule == "far"
    assert protocol_of(settings(place, threshold_rule="eer")).rule == "eer"


def test_an_interrupted_run_leaves_no_report(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("metrics.json", "report.html"):
        (out / name).write_text("of an earlier run")

    def interrupt(*_: object) -> Callable[[], None]:
        raise KeyboardInterrupt

    monkeypatch.setattr("siamclip.evaluation.report.files.draw_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(settings(place, out=str(out), bootstrap_replicates=0), Console(file=io.StringIO()))
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["run"] == "run"
    assert not (out / "report.html").exists()


def test_errors_are_one_line_and_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "evaluate.py", "--checkpoint", "nowhere", "--data_dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --checkpoint nowhere")
    assert done.stderr.count("\n") == 1
