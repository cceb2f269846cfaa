"""Every setting of augment.py and its default; config.py tells how to change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from config import (
    DeviceSettings,
    EmbedderSettings,
    EmbeddingCacheSettings,
    GeometrySettings,
    LoaderSettings,
    SeedSettings,
)


@dataclass
class AugmentFolders:
    # Folder of photos: one sub-folder an identity.
    input_dir: str = "output1"
    # Where the new images go: a new or empty folder outside the input, or one of a run that was interrupted, which
    # then goes on.
    output_dir: str = "augmented"


@dataclass
class AugmentFolderSettings(EmbeddingCacheSettings, SeedSettings, EmbedderSettings, AugmentFolders):
    """What `fuse` and `mix` share."""

    # Images computed at once.
    batch_size: int = 16
    # Photos of different identities too; their images get a soft label and a folder of their own.
    across_classes: bool = False
    # Put the photos themselves beside the new images, so that the output is a whole collection.
    copy_original: bool = False
    # Rows of the contact sheet (0: none).
    sheet_rows: int = 12


@dataclass
class AugmentFuseConfig(GeometrySettings, AugmentFolderSettings):
    # -- pairs ----------------------------------------------------------------------------------------------

    # Smallest cosine of the embeddings at which two photos are alike enough to be fused.
    similarity_threshold: float = 0.7
    # Largest: near-duplicates are not worth fusing.
    similarity_ceiling: float = 0.98
    # At most this many pairs, the most alike first.
    max_pairs: int = 100
    # No photo is in more pairs than this.
    max_uses: int = 3

    # -- fusion ---------------------------------------------------------------------------------------------

    # Modes, with commas or spaces: see `python augment.py methods`.
    fusion_modes: tuple[str, ...] = ("linear", "cross_fade", "feature_selective", "layer_selective")
    # Weight of the first photo, the one with the smaller name.
    ratio: float = 0.5
    # Settings of modes, as in layer_selective.structure_weight=0.9.
    set: tuple[str, ...] = ()
    # Bring the variance of fused noise maps back to that of the two photos' maps: a blend of two shrinks it.
    keep_variance: bool = True

    # -- the noise space ------------------------------------------------------------------------------------

    # The diffusion model: "vehicles64" comes with the project; a folder or hub name of any diffusers DDPMPipeline
    # (pixels) or StableDiffusionPipeline (latents); or what `train-ddpm` wrote.
    diffusion: str = "vehicles64"
    # What Stable Diffusion is told; models of pixels take no prompt.
    prompt: str = ""
    # Steps of the sampler between noise and image.
    steps: int = 50
    # Leave out this many of the noisiest steps: the more, the more of the photos' structure stays (0: none).
    skip: int = 0
    # Noise of the sampler, in (0, 1]: 1 is DDPM, values towards 0 approach DDIM, which has no noise space.
    eta: float = 1.0
    # Of the diffusion model. Lower precision is faster, but photos come back from their noise maps less exactly.
    denoiser_precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    # Folder of noise maps: a photo is inverted once for all its pairs, modes and runs.
    noise_cache: str = ".siamclip_cache/noise_maps"
    # Its largest size; the maps that were used longest ago go first.
    noise_cache_gb: float = 4.0

    # -- the gate -------------------------------------------------------------------------------------------

    # Smallest cosine of an image to each of its two photos; by default the similarity_threshold.
    gate_similarity: float | None = None
    # Smallest sharpness (variance of the Laplacian) relative to the photos' geometric mean.
    gate_sharpness: float = 0.25

    # The effective settings of the run are written here; --config reads them back.
    temp_yaml: str = "temp_fusion.yaml"


@dataclass
class AugmentMixConfig(GeometrySettings, AugmentFolderSettings):
    # The method: see `python augment.py methods`.
    method: str = "samplepairing"
    # Its settings, as in samplepairing.strategy=power_mean.
    set: tuple[str, ...] = ()
    # Images to make.
    number: int = 100
    # Side in pixels of the squares in which photos are mixed; what was squashed is stretched back to the first photo's
    # shape.
    image_size: int = 224


@dataclass
class AugmentTrainDdpmFolders:
    # Folder of photos, nested as deep as you like. May also stand without its flag.
    data: str = "output1"
    # Where the model goes: a diffusers DDPMPipeline, and what an interrupted training needs to go on.
    out: str = "ddpm"


@dataclass
class AugmentTrainDdpmConfig(SeedSettings, LoaderSettings, DeviceSettings, GeometrySettings, AugmentTrainDdpmFolders):
    # "small" trains in an hour or two on a CPU, "large" wants a GPU: DDPM_PRESETS in config_augment.py.
    preset: Literal["small", "large"] = "small"
    # Begin with the weights of this model, as in `fuse --diffusion`; its own architecture, size and noise are kept.
    init_from: str | None = None
    # Side in pixels of the square images that the model makes; by default the preset's.
    image_size: int | None = None
    # Mirror half of the photos.
    flip: bool = True
    # Diffusion steps that the model is trained for ...
    train_timesteps: int = 1000
    # ... and how the noise grows along them: "linear" is Ho et al. 2020, "squaredcos_cap_v2" Nichol & Dhariwal 2021.
    noise_schedule: Literal["linear", "squaredcos_cap_v2"] = "linear"
    # Optimiser steps.
    num_steps: int = 20_000
    # Photos in a step.
    batch_size: int = 32
    # After the warm-up it falls along a half cosine to zero.
    learning_rate: float = 2e-4
    # Optimiser steps during which the learning rate rises from zero.
    warmup_steps: int = 500
    # Largest gradient norm (0: off).
    clip_norm: float = 1.0
    # The model that is kept is a moving average of the weights, which forgets at most this slowly.
    ema_decay: float = 0.9995
    # Compile the network with torch.compile: about twice as fast after a minute of compiling; needs a C++ compiler.
    compile: bool = False
    # Every n steps a grid of images drawn from the model is written (0: never).
    sample_every: int = 2000
    # Minutes between saves of what --resume needs.
    save_every_minutes: float = 10.0
    # Store the weights in half the bytes.
    half: bool = False
    # Go on where the training in --out stopped.
    resume: bool = False


# diffusers UNet2DModel's arguments, and the images' side. "small": 3.5 million weights.
DDPM_PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "sample_size": 64,
        "block_out_channels": (16, 64, 96, 128),
        "layers_per_block": 1,
        "attention_at": (3,),
        "attention_head_dim": 32,
        "norm_num_groups": 16,
    },
    "large": {
        "sample_size": 128,
        "block_out_channels": (128, 128, 256, 384, 512),
        "layers_per_block": 2,
        "attention_at": (3, 4),
        "attention_head_dim": 64,
        "norm_num_groups": 32,
    },
}
