"""Settings: where they come from, what they may be, and that each of them does something."""

from __future__ import annotations

import ast
import math
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import clean
from config import (
    EvaluateConfig,
    PredictConfig,
    TrainConfig,
    load,
    recipe_settings,
)
from config_augment import AugmentFuseConfig, AugmentMixConfig, AugmentTrainDdpmConfig
from siamclip.cli.command_line import MAY_CHANGE_ON_RESUME, resumed
from siamclip.cli.setting_ranges import RANGES, check
from siamclip.cli.yaml_settings import as_yaml
from siamclip.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CONFIG_OF = {"train.py": TrainConfig, "evaluate.py": EvaluateConfig, "predict.py": PredictConfig}
COMMANDS = {f"clean.py {name}": command.config_type for name, command in clean.COMMANDS.items() if command.config_type}
AUGMENT = [AugmentFuseConfig, AugmentMixConfig, AugmentTrainDdpmConfig]
ALL_CONFIGS = [*CONFIG_OF.values(), *COMMANDS.values(), *AUGMENT]


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


# -- names and types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--learning_rat", "1"], "learning_rate"),
        (["--num_epochs", "many"], "many"),
        (["--num_epochs", "1.5"], "1.5"),
        (["--recipe", "stronger"], "stronger"),
        (["--optimizer", "adamx"], "adamx"),
        (["--batch_size"], "batch_size"),
        (["photos"], "photos"),
    ],
)
def test_a_wrong_flag_ends_with_2_and_is_named(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        load(TrainConfig, argv)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert says in said.out + said.err


@pytest.mark.parametrize("flag", ["config", "recipe", "model"])
def test_a_flag_without_its_value(flag: str) -> None:
    with pytest.raises(UserError, match=f"--{flag}: a value is missing"):
        load(TrainConfig, [f"--{flag}"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learning_rat: 1", "no setting 'learning_rat'; did you mean 'learning_rate'"),
        ("1: 2", "no setting 1"),
        ("num_epochs: many", "num_epochs must be int, not 'many'"),
        ("num_epochs: 1.5", "num_epochs must be int"),
        ("num_epochs: true", "num_epochs must be int"),
        ("num_epochs: null", "num_epochs must be int"),
        ("learning_rate: true", "learning_rate must be float"),
        ("learning_rate: [1]", "learning_rate must be float"),
        ("image_size: large", "image_size must be int, not 'large'"),
        ("flip: 1", "flip must be bool"),
        ("data_dir: 12345", "data_dir must be str"),
        ("optimizer: adamx", "optimizer must be one of adamw, adam, sgd, not 'adamx'"),
        ("optimizer: [adam]", "optimizer must be one of"),
        ("- a\n- b", "lines of the form"),
        ("just text", "lines of the form"),
        ("a: b: c", "not valid YAML"),
        ("x: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_wrong_yaml_file_is_an_error_that_names_it(text: str, says: str, tmp_path: Path) -> None:
    path = yaml_file(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load(TrainConfig, ["--config", path])
    assert says in str(caught.value)
    assert path in str(caught.value)


def test_yaml_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read"):
        load(TrainConfig, ["--config", str(tmp_path / "none.yaml")])
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match=r"binary\.yaml: is not valid YAML"):
        load(TrainConfig, ["--config", str(tmp_path / "binary.yaml")])


def test_yaml_values_take_the_type_of_their_field(tmp_path: Path) -> None:
    # YAML 1.1 takes 1e-6 for text: a float needs a point there
    path = yaml_file(tmp_path, "learning_rate: 1e-6\nweight_decay: 1\nimage_size: null\nrun_name: 京A12345 🚗\n")
    config = load(TrainConfig, ["--config", path])
    assert (config.learning_rate, config.weight_decay) == (1e-6, 1.0)
    assert isinstance(config.weight_decay, float)
    assert (config.image_size, config.run_name) == (None, "京A12345 🚗")
    compared = yaml_file(tmp_path, "compare: [resnet50, RN50]\n")
    assert load(EvaluateConfig, ["--config", compared]).compare == ("resnet50", "RN50")
    with pytest.raises(UserError, match="must be a list of names"):
        load(EvaluateConfig, ["--config", yaml_file(tmp_path, "compare: resnet50\n")])


def test_an_empty_yaml_file_changes_nothing(tmp_path: Path) -> None:
    assert load(PredictConfig, ["--config", yaml_file(tmp_path, "# nothing yet\n")]) == PredictConfig()


# PyYAML writes U+0085 as it is, and reads it as a line break.
@settings(max_examples=40)
@given(
    st.builds(
        TrainConfig,
        data_dir=st.text(st.characters(exclude_characters="\x85", codec="utf-8")),
        image_size=st.none() | st.integers(16, 2048),
        learning_rate=st.floats(1e-12, 1, exclude_min=True),
        flip=st.booleans(),
        optimizer=st.sampled_from(["adamw", "adam", "sgd"]),
    )
)
def test_settings_come_back_from_their_yaml(tmp_path_factory: pytest.TempPathFactory, config: TrainConfig) -> None:
    path = yaml_file(tmp_path_factory.mktemp("yaml"), as_yaml(config))
    assert load(TrainConfig, ["--config", path]) == config


@pytest.mark.parametrize("config", [EvaluateConfig(compare=("a", "b")), PredictConfig(img1="京.jpg")])
def test_settings_of_the_other_scripts_come_back_too(config: EvaluateConfig | PredictConfig, tmp_path: Path) -> None:
    assert load(type(config), ["--config", yaml_file(tmp_path, as_yaml(config))]) == config


# -- ranges ---------------------------------------------------------------------------------------------------------

TINY = 1e-9
# name -> (values at the edges of what is allowed, values just beyond them)
EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "margin": ([TINY, 2], [0, -1, 2 + TINY, math.nan]),
    "positive_margin": ([0, 2 - TINY], [-TINY, 2]),
    "threshold": ([0, 2], [-TINY, 2 + TINY]),
    "positive_ratio": ([TINY, 1 - TINY], [0, 1]),
    "val_ratio": ([TINY, 1 - TINY], [0, 1]),
    "test_ratio": ([0, 1 - TINY], [-TINY, 1]),
    "samples_per_class": ([2], [1, 0, -1]),
    "val_pairs_per_class": ([2], [1]),
    "photos_per_class": ([2], [1]),
    "hard_pool": ([1], [0]),
    "batch_size": ([1], [0, -1]),
    "num_epochs": ([1], [0]),
    "image_size": ([16, 2048], [15, 2049]),
    "learning_rate": ([TINY], [0, -1, math.nan]),
    "weight_decay": ([0], [-TINY]),
    "warmup_epochs": ([0], [-TINY]),
    "layer_decay": ([TINY, 1], [0, 1 + TINY]),
    "clip_norm": ([0], [-TINY]),
    "accumulation_steps": ([1], [0]),
    "early_stopping_patience": ([0], [-1]),
    "min_delta": ([0], [-TINY]),
    "freeze_blocks": ([0], [-1]),
    "num_workers": ([1], [0]),
    "cache_gb": ([0], [-TINY]),
    "save_every": ([1], [0]),
    "save_every_minutes": ([TINY], [0]),
    "flip_probability": ([0, 1], [-TINY, 1 + TINY]),
    "brightness": ([0, 1], [-TINY, 1 + TINY]),
    "contrast": ([0, 1], [-TINY, 1 + TINY]),
    "random_crop": ([0, 1 - TINY], [-TINY, 1]),
    "random_erasing": ([0, 1], [-TINY, 1 + TINY]),
    "mix_probability": ([0, 1], [-TINY, 1 + TINY]),
    "plate_mask_probability": ([0, 1], [-TINY, 1 + TINY]),
    "target_far": ([TINY, 1 - TINY], [0, 1]),
    "bootstrap_replicates": ([0], [-1]),
    "max_negative_pairs": ([1], [0]),
    "doubt_below": ([0.5, 1], [0.5 - TINY, 1 + TINY]),
    "top_k": ([1], [0]),
    "processes": ([0], [-1]),
    "min_per_class": ([0], [-1]),
    "same_view": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "min_inliers": ([4], [3]),
    "thumbnails_mb": ([0], [-TINY]),
    "questions": ([12], [11]),
    "target_precision": ([TINY, 1 - TINY], [0, 1]),
    "similarity_threshold": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "similarity_ceiling": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "max_pairs": ([1], [0]),
    "max_uses": ([1], [0]),
    "ratio": ([0, 1], [-TINY, 1 + TINY]),
    "steps": ([1], [0]),
    "skip": ([0], [-1]),
    "eta": ([TINY, 1], [0, 1 + TINY]),
    "noise_cache_gb": ([0], [-TINY]),
    "gate_similarity": ([-1, 1], [-1 - TINY, 1 + TINY]),
    "gate_sharpness": ([0], [-TINY]),
    "sheet_rows": ([0], [-1]),
    "number": ([1], [0]),
    "train_timesteps": ([2], [1]),
    "num_steps": ([1], [0]),
    "warmup_steps": ([0], [-1]),
    "ema_decay": ([0, 1 - TINY], [-TINY, 1]),
    "sample_every": ([0], [-1]),
    "seed": ([0, 2**32 - 1], [-1, 2**32]),
}


def test_every_number_has_a_range_and_every_range_is_tested() -> None:
    numbers = {
        field.name
        for config in ALL_CONFIGS
        for field in fields(config)
        if {"int", "float"} & set(str(field.type).split(" | "))
    }
    assert numbers == {name for name, _, _ in RANGES} == EDGES.keys()


@pytest.mark.parametrize("name", EDGES)
def test_a_range_ends_where_it_says(name: str) -> None:
    kind = next(config for config in ALL_CONFIGS if name in config.__dataclass_fields__)
    inside, outside = EDGES[name]
    for value in inside:
        check(kind(**{name: value}))
    for value in outside:
        with pytest.raises(UserError, match=f"^--{name} .*must be "):
            check(kind(**{name: value}))


def test_every_default_is_in_its_range() -> None:
    for kind in ALL_CONFIGS:
        check(kind())


def test_a_margin_above_2_ends_training_before_it_starts() -> None:
    stopped = subprocess.run(
        [sys.executable, "train.py", "--margin", "2.5"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert stopped.stderr.startswith("error: --margin 2.5: must be in (0, 2]")
    assert stopped.stderr.count("\n") == 1


# -- going on -------------------------------------------------------------------------------------------------------


def test_a_resumed_run_keeps_its_settings_but_for_where_it_runs() -> None:
    saved = asdict(TrainConfig(learning_rate=3e-4, num_epochs=7, num_workers=2, run_name="a", flip=False))
    given_now = TrainConfig(resume=True, run_name="b", num_workers=9, device="cuda:1", cache_gb=0.5)
    argv = ["--resume", "--run_name", "b", "--num-workers=9", "--device", "cuda:1", "--cache_gb", "0.5"]
    config = resumed(saved, given_now, argv)
    assert (config.learning_rate, config.num_epochs, config.flip) == (3e-4, 7, False)
    for name in MAY_CHANGE_ON_RESUME:
        assert getattr(config, name) == getattr(given_now, name)


@pytest.mark.parametrize("flag", ["--learning_rate=1", "--num-epochs", "--no_flip", "--no-wise-ft", "--config"])
def test_a_resumed_run_refuses_what_would_change_its_outcome(flag: str) -> None:
    with pytest.raises(UserError, match="cannot change on --resume"):
        resumed(asdict(TrainConfig()), TrainConfig(resume=True), ["--resume", flag, "1"])


def test_what_may_change_exists() -> None:
    assert {field.name for field in fields(TrainConfig)} >= MAY_CHANGE_ON_RESUME


# -- each setting does something ------------------------------------------------------------------------------------


def settings_read_by(path: Path) -> set[str]:
    """Names of attributes read from `config` or `settings`, or from an attribute of that name."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and (getattr(node.value, "id", None) or getattr(node.value, "attr", None)) in ("config", "settings")
    }


@pytest.mark.parametrize("script", CONFIG_OF | COMMANDS)
def test_every_setting_is_read(script: str) -> None:
    read = settings_read_by(ROOT / script.split(" ", maxsplit=1)[0])
    if script == "train.py":
        read |= settings_read_by(ROOT / "dataset.py") | {"recipe"}  # which config.load itself has read
    if script == "predict.py":  # these go to the predictor by name, others are read by their mode's table
        from predict import MODES

        read |= predictor_settings() | {flag for flags in MODES.values() for flag in flags}
    assert {field.name for field in fields((CONFIG_OF | COMMANDS)[script])} - read == set()


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


def test_yaml_is_plain(tmp_path: Path) -> None:
    text = as_yaml(EvaluateConfig(compare=("京",)))
    assert yaml.safe_load(text)["compare"] == ["京"]
    assert "京" in text  # readable, not escaped
