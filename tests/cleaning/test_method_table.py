"""The method tables: every row leads to code that keeps the contract."""

from __future__ import annotations

import inspect
import typing

import numpy as np
import pytest

from siamclip.cleaning.contracts import CopyPairs, Findings
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.method_table import FAMILIES, METHODS, SCORERS
from siamclip.data.image.decode import Header
from siamclip.errors import UserError
from siamclip.methods import load_target


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (37, 53), (160, 240)])
@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_a_scorer_gives_its_columns_and_only_finite_values(name: str, shape: tuple[int, int], kind: str) -> None:
    height, width = shape
    generator = np.random.default_rng(height)
    rgb = generator.integers(0, 256, (height, width, 3)) if kind == "noise" else np.full((height, width, 3), 77)
    header = Header("PNG", "RGB", width, height, 1, 1, False, False)
    values = load_target(SCORERS[name].target)(Decoded(rgb.astype(np.uint8), header))
    assert values.keys() == SCORERS[name].columns.keys()
    for column, dtype in SCORERS[name].columns.items():
        value = np.asarray(values[column])
        if dtype.startswith(("U", "S")):
            assert isinstance(values[column], str | bytes), column
            continue
        assert value.shape == np.dtype(dtype).shape, column
        assert np.isfinite(value.astype(np.float64)).all(), column


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_a_function_of_the_photos_and_of_settings_with_defaults(name: str) -> None:
    method = METHODS[name]
    signature = inspect.signature(load_target(method.target), eval_str=True)
    assert signature.return_annotation in (Findings, CopyPairs)
    for setting, parameter in METHODS[name].settings().items():
        assert parameter.kind is parameter.KEYWORD_ONLY, setting
        assert parameter.default is not parameter.empty, setting
        if typing.get_origin(parameter.annotation) is typing.Literal:
            assert parameter.default in typing.get_args(parameter.annotation), setting
        elif parameter.default is not None:
            allowed = typing.get_args(parameter.annotation) or (parameter.annotation,)
            assert type(parameter.default) in {typing.get_origin(kind) or kind for kind in allowed}, setting
    assert method.family in FAMILIES
    assert set(method.requires) <= METHODS[name].settings().keys()
    assert set(method.needs) <= SCORERS.keys() | {"embedding", "labels", "iqa"}
    assert method.name == name


def test_methods_are_chosen_by_name_family_default_and_all() -> None:
    assert [method.name for method in METHODS.chosen(["all"], "methods")] == list(METHODS)
    assert [method.name for method in METHODS.chosen(["default"], "methods")] == [
        m.name for m in METHODS.values() if m.default
    ]
    assert [method.name for method in METHODS.chosen(["phash", "exact", "phash"], "methods")] == ["exact", "phash"]
    assert {method.family for method in METHODS.chosen(["exposure", "size"], "methods")} == {"exposure", "size"}
    with pytest.raises(UserError, match=r"methods phsh: .* did you mean phash\?"):
        METHODS.chosen(["phsh"], "methods")
