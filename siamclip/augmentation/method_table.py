"""The method tables of augmentation: modes of fusion, and methods of mixing and masking.

Settings of methods are texts `method.setting=value`, in augment.py as `set`, in train.py as `mix_set`.
"""

from __future__ import annotations

from dataclasses import dataclass

from siamclip.methods import Method, MethodTable


@dataclass(frozen=True, kw_only=True)
class Mode(Method):
    """`target(first, second, ratio, level, **settings) -> weight of the first`; stacks: ddpm_inversion.py."""


@dataclass(frozen=True, kw_only=True)
class Mixer(Method):
    """`target(images, features, rng, **settings) -> Mixed`: see mix/batch.py.

    `needs`: "features" where it reads the images' embeddings.
    """

    mixes_labels: bool = False  # False: an image has one parent and keeps its label
    # Where the partner in a folder is not any photo alike: `pairing(first, others, **its settings) -> log weights`, of
    # features (D,) and (N, D); its settings are among the target's.
    pairing: str | None = None
    # The same two photos always give the same image, so that a folder gets one of each ordered pair.
    one_each: bool = False


_FUSION = "siamclip.augmentation.fusion."
_MIX = "siamclip.augmentation.mix."
_MASK = "siamclip.augmentation.mask."

MODES = MethodTable[Mode](
    (
        Mode("linear", _FUSION + "modes.linear:linear", "an even blend of both photos"),
        Mode("cross_fade", _FUSION + "modes.cross_fade:cross_fade", "the first photo's layout, drifting to the second"),
        Mode(
            "feature_selective", _FUSION + "modes.feature_selective:feature_selective", "the stronger regions of both"
        ),
        Mode(
            "layer_selective", _FUSION + "modes.layer_selective:layer_selective", "one's structure, the other's texture"
        ),
    ),
    example="layer_selective.structure_weight=0.9",
    word="mode",
)

MIXERS = MethodTable[Mixer](
    (
        Mixer(
            "samplepairing",
            _MIX + "methods.sample_pairing:sample_pairing",
            "a blend with a photo that is like it",
            ("features",),
            mixes_labels=True,
            pairing=_MIX + "similarity:partner_log_weights",
            one_each=True,
        ),
        Mixer("mixup", _MIX + "methods.mixup:mixup", "a blend with any photo, in random proportion", mixes_labels=True),
        Mixer("cutmix", _MIX + "methods.cutmix:cutmix", "a rectangle of another photo in it", mixes_labels=True),
        Mixer("random_erasing", _MASK + "random_erasing:random_erasing", "a rectangle hidden (CutOut)"),
        Mixer("gridmask", _MASK + "grid_mask:grid_mask", "a grid of hidden squares"),
        Mixer("hide_and_seek", _MASK + "hide_and_seek:hide_and_seek", "random cells hidden"),
    ),
    example="samplepairing.strategy=power_mean",
)
