"""Settings of clean.py that reach further than one command, or are handed on as they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clean
from config_clean import CleanApplyConfig, CleanCalibrateConfig, CleanUndoConfig
from demo.dirty.defects import jpeg
from siamclip.cleaning.apply.command import apply_command, undo_command
from siamclip.cleaning.calibrate.command import calibrate_command
from siamclip.errors import UserError
from tests.test_clean import findings, run_all, scene


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A photo, itself turned, and another one."""
    folder = tmp_path / "photos" / "A"
    folder.mkdir(parents=True)
    for name, pixels in (("1", scene(1)), ("turned", np.rot90(scene(1))), ("2", scene(2))):
        (folder / f"{name}.jpg").write_bytes(jpeg(np.ascontiguousarray(pixels), 92))
    return tmp_path / "photos"


def found(run: Path) -> set[str]:
    return {row["path"] for row in findings(run) if row["flagged"] == "True"}


@pytest.mark.parametrize("flags", [("--orientations",), ("--set", "phash.orientations=true")], ids=" ".join)
def test_orientations_are_one_switch_in_run(flags: tuple[str, ...], photos: Path, tmp_path: Path) -> None:
    methods = ("--methods", "phash", "--min_per_class", "0")
    run_all(photos, tmp_path / "run", *methods, *flags)
    assert found(tmp_path / "run") == {"A/1.jpg"}  # the turned one has more bytes, and stays


def test_what_is_set_for_one_hash_wins_over_the_switch(photos: Path, tmp_path: Path) -> None:
    run_all(photos, tmp_path / "run", "--orientations", "--set", "phash.orientations=false", "--methods", "phash")
    assert found(tmp_path / "run") == set()


def test_find_says_that_the_scan_has_no_orientations(photos: Path, tmp_path: Path) -> None:
    run_all(photos, tmp_path / "run", "--methods", "phash")
    assert found(tmp_path / "run") == set()
    with pytest.raises(UserError) as error:
        clean.main(["find", str(tmp_path / "run"), "--set", "phash.orientations=true"])
    assert error.value.told("--{}".format) == (
        "--set phash.orientations=true: the scan holds no perceptual hashes in eight orientations; "
        "scan again with --orientations"
    )


@pytest.mark.parametrize(
    ("function", "config"),
    [
        (apply_command, CleanApplyConfig),
        (undo_command, CleanUndoConfig),
        (calibrate_command, CleanCalibrateConfig),
    ],
)
def test_settings_that_are_handed_on_as_they_are_are_the_commands_arguments(
    function: Callable[..., Any], config: type
) -> None:
    parameters = inspect.signature(function).parameters.values()
    arguments = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    assert arguments - {"called"} == {field.name for field in fields(config)}
