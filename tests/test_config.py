"""Settings: where they come from, what they may be, and that each of them does something."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from config import (
    EvaluateConfig,
    PredictConfig,
    TrainConfig,
    load,
    recipe_settings,
)
from siamclip.augmentation.fusion.sampling import FusionSettings
from siamclip.cleaning.apply.command import apply_command, undo_command
from siamclip.cleaning.calibrate.command import calibrate_command
from siamclip.cli.setting_ranges import check
from tests.script_settings import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
# Where the settings of a script are read, besides in the script itself.
ROOMS_OF = {
    "train.py": ("training",),
    "evaluate.py": ("evaluation",),
    "predict.py": ("prediction",),
    "clean.py": ("cleaning",),
    "augment.py": ("augmentation", "diffusion"),
}
CONFIG_OF = {"train.py": TrainConfig, "evaluate.py": EvaluateConfig, "predict.py": PredictConfig}


def yaml_file(folder: Path, text: str) -> str:
    path = folder / "my settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# -- precedence -----------------------------------------------------------------------------------------------------


def test_defaults_are_the_baseline_recipe() -> None:
    config = load(TrainConfig, [])
    assert config == TrainConfig() == load(TrainConfig, ["--recipe", "baseline"])
    # the published recipe
    assert (config.batch_size, config.num_epochs, config.learning_rate) == (32, 50, 1e-6)
    assert (config.samples_per_class, config.margin, config.save_every, config.threshold) == (20, 0.5, 5, None)
    assert (config.data_dir, config.model, config.positive_ratio) == ("output1", "ViT-B/32", 0.5)


def test_a_flag_wins_over_yaml_over_the_recipe_over_the_file(tmp_path: Path) -> None:
    strong = recipe_settings("strong", "efficientnet-lite0")
    default = TrainConfig()
    assert {strong[name] != getattr(default, name) for name in ("num_epochs", "batch_size", "random_crop")} == {True}
    path = yaml_file(tmp_path, "recipe: strong\nmodel: efficientnet-lite0\nbatch_size: 7\nnum_epochs: 8\nseed: 3\n")
    config = load(TrainConfig, ["--config", path, "--num_epochs", "9"])
    assert config.num_epochs == 9  # the flag, though YAML and recipe say otherwise
    assert config.batch_size == 7  # YAML, though the recipe says otherwise
    assert config.random_crop == strong["random_crop"]  # the recipe, though the file says otherwise
    assert config.learning_rate == strong["learning_rate"]  # the recipe's, for the YAML's model
    assert (config.seed, config.margin) == (3, default.margin)
    assert load(TrainConfig, [f"--config={path}", "--recipe", "baseline"]).random_crop == default.random_crop


@pytest.mark.parametrize("model", ["efficientnet-lite0", "resnet50", "ViT-B/32", "ViT-B-32:laion2b_s34b_b79k"])
def test_the_strong_recipe_is_settings_that_exist_and_are_in_range(model: str) -> None:
    config = load(TrainConfig, ["--recipe", "strong", "--model", model])
    check(config)
    changed = recipe_settings("strong", model)
    assert changed == {name: getattr(config, name) for name in changed}
    assert config == replace(TrainConfig(), recipe="strong", model=model, **changed)


@pytest.mark.parametrize("spelling", ["--val_ratio", "--val-ratio"])
def test_underscores_and_dashes_are_the_same(spelling: str) -> None:
    assert load(TrainConfig, [spelling, "0.2"]).val_ratio == 0.2


def test_switches_are_switched_off_by_no() -> None:
    config = load(TrainConfig, ["--no_flip", "--no-jitter", "--no_wise_ft", "--gradient_checkpointing"])
    assert (config.flip, config.jitter, config.wise_ft, config.gradient_checkpointing) == (False, False, False, True)


def test_lists_and_absent_values() -> None:
    assert load(EvaluateConfig, ["--compare", "resnet50", "ViT-B/32"]).compare == ("resnet50", "ViT-B/32")
    assert load(PredictConfig, ["--embedding_cache", "None"]).embedding_cache is None
    assert load(PredictConfig, ["--threshold", "0.4", "--json"]).threshold == 0.4


# -- each setting does something ------------------------------------------------------------------------------------


def settings_read_by(path: Path) -> set[str]:
    """Names read from `config` or `settings`, or from an attribute of that name, and keys read from `values`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Load):
            owner = getattr(node.value, "id", None) or getattr(node.value, "attr", None)
            if isinstance(node, ast.Attribute) and owner in ("config", "settings"):
                found.add(node.attr)
            elif isinstance(node, ast.Subscript) and owner == "values" and isinstance(node.slice, ast.Constant):
                found.add(node.slice.value)
    return found


# Functions that a script gives all settings of a command, by name.
HANDED_OVER = {"clean.py apply": apply_command, "clean.py undo": undo_command, "clean.py calibrate": calibrate_command}


def parameters_used_by(function: Callable[..., object]) -> set[str]:
    """Those of its parameters that the function's body reads."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)} & set(
        inspect.signature(function).parameters
    )


@pytest.mark.parametrize("script", SETTINGS)
def test_every_setting_is_read(script: str) -> None:
    name = script.split(" ", maxsplit=1)[0]
    rooms = [path for room in ROOMS_OF[name] for path in (ROOT / "siamclip" / room).rglob("*.py")]
    read = {setting for path in [ROOT / name, *rooms] for setting in settings_read_by(path)}
    if script == "train.py":
        read |= settings_read_by(ROOT / "dataset.py") | {"recipe"}  # which config.load itself has read
    if script == "augment.py fuse":  # these go to the sampler by name
        read |= set(FusionSettings.__dataclass_fields__)
    if script in HANDED_OVER:  # all of them go to a function by name
        read |= parameters_used_by(HANDED_OVER[script])
    if script == "predict.py":  # these go to the predictor by name, others are read by their mode's table
        from predict import MODES

        read |= predictor_settings() | {flag for flags in MODES.values() for flag in flags}
    assert {field.name for field in fields(SETTINGS[script])} - read == set()


def predictor_settings() -> set[str]:
    """Arguments of the predictor's constructor that its body reads."""
    tree = ast.parse((ROOT / "predict.py").read_text(encoding="utf-8"))
    (cls,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and "Predictor" in node.name)
    (init,) = (node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    loaded = {node.id for node in ast.walk(init) if isinstance(node, ast.Name)}
    return {argument.arg for argument in init.args.args} & loaded


@pytest.mark.parametrize("script", CONFIG_OF)
def test_help_answers_without_the_heavy_libraries(script: str) -> None:
    code = (
        f"import runpy, sys\nsys.argv = [{script!r}, '--help']\n"
        f"try:\n    runpy.run_path({script!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n    code = stop.code\n"
        "heavy = {'torch', 'cv2', 'sklearn', 'scipy', 'matplotlib', 'open_clip', 'accelerate'} & sys.modules.keys()\n"
        "print('\\nimported:', sorted(heavy), 'code:', code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("imported: [] code: 0\n")
    for field in fields(CONFIG_OF[script]):
        assert f"--{field.name}" in done.stdout.replace("--no_", "--"), field.name
