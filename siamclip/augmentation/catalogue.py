"""The method tables of augmentation: name -> where its code lies, loaded only when it is used.

A new mode or method is one file and one row here. A method's settings are the keyword-only arguments of its function,
with their types and defaults; users set them with --set method.setting=value.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from siamclip import method_settings
from siamclip.catalogue import load_target
from siamclip.errors import UserError, suggestion


@dataclass(frozen=True)
class Mode:
    """`target(first, second, ratio, level, **settings) -> weight of the first`; stacks are those of noise_space.py."""

    name: str
    target: str
    gives: str  # one line, for people who choose


@dataclass(frozen=True)
class Mixer:
    """`target(images, features, rng, **settings) -> Mixed`: see mix/batch.py."""

    name: str
    target: str
    mixes_labels: bool  # False: an image has one parent and keeps its label
    gives: str  # one line, for people who choose
    needs_features: bool = False
    # Where the partner in a folder is not any photo alike: `pairing(first, others, **its settings) -> log weights`, of
    # features (D,) and (N, D); its settings are among the target's.
    pairing: str | None = None
    # The same two photos always give the same image, so that a folder gets one of each ordered pair.
    one_each: bool = False


_FUSION = "siamclip.augmentation.fusion."
_MIX = "siamclip.augmentation.mix."
_MASK = "siamclip.augmentation.mask."

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("linear", _FUSION + "linear:linear", "an even blend of both photos"),
        Mode("cross_fade", _FUSION + "cross_fade:cross_fade", "the first photo's layout, drifting to the second"),
        Mode("feature_selective", _FUSION + "feature_selective:feature_selective", "the stronger regions of both"),
        Mode("layer_selective", _FUSION + "layer_selective:layer_selective", "one's structure, the other's texture"),
    )
}

MIXERS: dict[str, Mixer] = {
    mixer.name: mixer
    for mixer in (
        Mixer(
            "samplepairing",
            _MIX + "sample_pairing:sample_pairing",
            True,
            "a blend with a photo that is like it",
            True,
            _MIX + "similarity:partner_log_weights",
            True,
        ),
        Mixer("mixup", _MIX + "mixup:mixup", True, "a blend with any photo, in random proportion"),
        Mixer("cutmix", _MIX + "cutmix:cutmix", True, "a rectangle of another photo in it"),
        Mixer("random_erasing", _MASK + "random_erasing:random_erasing", False, "a rectangle hidden (CutOut)"),
        Mixer("gridmask", _MASK + "grid_mask:grid_mask", False, "a grid of hidden squares"),
        Mixer("hide_and_seek", _MASK + "hide_and_seek:hide_and_seek", False, "random cells hidden"),
    )
}


def chosen_mixer(name: str, flag: str = "--method") -> Mixer:
    """Raises UserError, with the nearest name."""
    if name not in MIXERS:
        hint = suggestion(name, MIXERS, f"there are {', '.join(MIXERS)}")
        raise UserError(f"{flag} {name}: no such method; {hint}")
    return MIXERS[name]


def chosen_modes(names: Iterable[str]) -> list[Mode]:
    """Modes by name, separated by commas or given one by one; in the table's order, none twice.

    Raises UserError, with the nearest name, or for none.
    """
    wanted = {name for text in names for name in text.replace(",", " ").split()}
    for name in sorted(wanted - MODES.keys()):
        hint = suggestion(name, MODES, f"there are {', '.join(MODES)}")
        raise UserError(f"--fusion_modes {name}: no such mode; {hint}")
    if not wanted:
        raise UserError(f"--fusion_modes: names no mode; there are {', '.join(MODES)}")
    return [mode for mode in MODES.values() if mode.name in wanted]


def settings_of(target: str) -> dict[str, inspect.Parameter]:
    """Setting -> parameter (default and annotation): the keyword-only arguments of the function behind `target`."""
    parameters = inspect.signature(load_target(target), eval_str=True).parameters
    return {name: given for name, given in parameters.items() if given.kind is inspect.Parameter.KEYWORD_ONLY}


def method_arguments(targets: Mapping[str, str], assignments: Iterable[str], example: str) -> dict[str, dict[str, Any]]:
    """Method -> all its settings, the defaults and what `assignments` (`method.setting=value`) give.

    `targets`: method -> "module:function". Raises UserError for what is not there or has the wrong type.
    """
    given = method_settings.parse(assignments, targets, lambda name: settings_of(targets[name]), example)
    return {
        name: {key: parameter.default for key, parameter in settings_of(target).items()} | given.get(name, {})
        for name, target in targets.items()
    }
