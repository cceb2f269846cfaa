"""What a run leaves in its log folder, and that it is whole at any moment."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from config import TrainConfig, load
from siamclip.cli.yaml_settings import as_yaml
from siamclip.errors import UserError
from siamclip.training.run.log import RunLog

PRETRAINED = {"epoch": 0.0, "val_loss": 0.2, "val_auc": 0.8, "val_eer": 0.25, "val_accuracy": 0.7, "mean_cosine": 0.6,
              "effective_rank": 20.0}  # fmt: skip


def epoch(number: int) -> dict[str, float]:
    trained = {"loss": 0.1 / number, "active_negatives": 0.5, "learning_rate": 1e-6}
    return PRETRAINED | {"epoch": float(number), "val_auc": 0.8 + 0.01 * number} | trained


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return RunLog(tmp_path / "logs" / "京 run", 0)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_history_has_a_row_an_epoch_and_a_column_a_figure(log: RunLog) -> None:
    history = [PRETRAINED]
    for number in (1, 2):
        history.append(epoch(number))
        log.epoch(history, 10 * number)
        rows = rows_of(log.folder / "history.csv")
        assert len(rows) == number + 1
        for row, written in zip(history, rows, strict=True):
            # what an epoch does not have is empty, not zero: nothing was trained before the first
            assert {name: float(value) for name, value in written.items() if value} == row
    log.close()
    with Image.open(log.folder / "training_curves.png") as picture:
        assert min(picture.size) > 200


def test_settings_are_those_that_config_reads_back(log: RunLog) -> None:
    config = TrainConfig(data_dir="京A12345 🚗", learning_rate=1e-6, image_size=96, plate_boxes=None)
    log.settings(as_yaml(config))
    assert load(TrainConfig, ["--config", str(log.folder / "config.yaml")]) == config


def test_files_that_were_left_out_are_listed_whatever_their_names(log: RunLog) -> None:
    files = [("b\n1.jpg", "the file is empty"), ('a,"1".jpg', "truncated"), ("\udcff.jpg", "not an image")]
    log.skipped(files)
    text = (log.folder / "skipped.csv").read_bytes().decode("utf-8", "surrogatepass")
    assert list(csv.reader(text.splitlines(keepends=True))) == [["path", "reason"], *map(list, sorted(files))]
    log.skipped([])
    assert rows_of(log.folder / "skipped.csv") == []  # written anew, not added to


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(name)]


def test_tensorboard_gets_every_point(log: RunLog) -> None:
    for step in (1, 2, 3):
        log.step(step, {"loss": 1.0 / step})
    log.epoch([PRETRAINED, epoch(1)], 3)
    log.close()
    assert scalars(log.folder, "step/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert scalars(log.folder, "epoch/val_auc") == [(3, 0.81)]


def test_what_a_resumed_run_draws_again_is_hidden(log: RunLog) -> None:
    """Killed after step 5, with the checkpoint of step 3: steps 4 and 5 come twice."""
    for step in range(1, 6):
        log.step(step, {"loss": 1.0})
    log.close()
    again = RunLog(log.folder, 3)
    for step in range(4, 7):
        again.step(step, {"loss": 2.0})
    again.close()
    assert scalars(log.folder, "step/loss") == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 2.0)]


def test_nothing_half_written_stays(log: RunLog) -> None:
    log.settings("a: 1\n")
    log.skipped([("a", "b")])
    log.epoch([PRETRAINED], 0)
    log.close()
    names = {path.name for path in log.folder.iterdir() if not path.name.startswith("events.")}
    assert names == {"config.yaml", "skipped.csv", "history.csv", "training_curves.png"}


def test_a_folder_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"log_dir .*cannot be written"):
        RunLog(tmp_path / "file" / "run", 0)


def test_a_log_folder_that_vanishes_is_an_error_of_the_user(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run", 0)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(UserError, match="and resume"):
        log.settings("model: x")
