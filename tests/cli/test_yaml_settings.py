"""Settings in YAML files: names, types, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config import EvaluateConfig, PredictConfig, TrainConfig, load
from siamclip.cli.yaml_settings import as_yaml
from siamclip.errors import UserError


def yaml_file(folder: Path, text: str) -> str:
    path = folder / "my settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learning_rat: 1", "no setting 'learning_rat'; did you mean learning_rate?"),
        ("1: 2", "no setting 1"),
        ("num_epochs: many", "num_epochs must be a whole number, not 'many'"),
        ("num_epochs: 1.5", "num_epochs must be a whole number"),
        ("num_epochs: true", "num_epochs must be a whole number"),
        ("num_epochs: null", "num_epochs must be a whole number"),
        ("learning_rate: true", "learning_rate must be a number"),
        ("learning_rate: [1]", "learning_rate must be a number"),
        ("image_size: large", "image_size must be a whole number or null, not 'large'"),
        ("flip: 1", "flip must be true or false"),
        ("data_dir: 12345", "data_dir must be text"),
        ("optimizer: adamx", "optimizer must be adamw, adam or sgd, not 'adamx'"),
        ("optimizer: [adam]", "optimizer must be adamw, adam or sgd, not ['adam']"),
        ("- a\n- b", "lines of the form"),
        ("just text", "lines of the form"),
        ("a: b: c", "not valid YAML"),
        ("x: !!python/object/apply:os.system ['true']", "not valid YAML"),
        # backquotes of the file's own: of a UserError's, `seed` would be told as the flag --seed
        ("seed: `seed`", "not valid YAML"),
        ("seed: '`seed`'", "seed must be a whole number, not ''seed''"),
        ("'`seed`': 1", "there is no setting ''seed''"),
    ],
)
def test_a_wrong_yaml_file_is_an_error_that_names_it(text: str, says: str, tmp_path: Path) -> None:
    path = yaml_file(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load(TrainConfig, ["--config", path])
    assert says in str(caught.value)
    assert path in str(caught.value)
    assert "--seed" not in caught.value.told("--{}".format)


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


def test_yaml_is_plain(tmp_path: Path) -> None:
    text = as_yaml(EvaluateConfig(compare=("京",)))
    assert yaml.safe_load(text)["compare"] == ["京"]
    assert "京" in text  # readable, not escaped
