"""Every setting and its default.

Edit the defaults here, put them into a YAML file (``--config my.yaml``), or give them as flags; later ones win:

    this file  <  the recipe (``--recipe strong``)  <  the YAML file  <  flags

A name that does not exist is an error with a suggestion, in the file as on the command line.
The settings of clean.py stand in config_clean.py, those of augment.py in config_augment.py.
The comment above a field is its ``--help`` text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from siamclip.cli import command_line

# -- groups of settings that several scripts share --------------------------------------------------------------------
# The scripts' dataclasses inherit them. --help lists the fields of the last base first, and a class's own last.


@dataclass
class SeedSettings:
    # One seed for whatever draws at random: split, pairs, photos' order, augmentation, initialisation, noise.
    seed: int = 42


@dataclass
class DeviceSettings:
    # "auto" takes the first GPU, or the CPU where there is none.
    device: str = "auto"
    # "auto" takes fp16 or bf16 where the device gains by it, else fp32.
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"


@dataclass
class CheckpointSettings:
    # Where runs keep their checkpoints, and where "newest" looks for one.
    checkpoint_dir: str = "checkpoints"


@dataclass
class DecodingSettings:
    # Threads that decode photos.
    num_workers: int = 4


@dataclass
class LoaderSettings(DecodingSettings):
    # GiB of memory for photos that were decoded and resized once.
    cache_gb: float = 2.0


@dataclass
class GeometrySettings:
    # How a photo becomes a square: "squash" keeps all of a wide vehicle, "crop" is what CLIP was trained with.
    geometry: Literal["squash", "pad", "crop"] = "squash"


@dataclass
class EmbeddingCacheSettings:
    # Embeddings of folders and of tables of pairs are remembered here, by the photos' content (None: they are not).
    embedding_cache: str | None = ".siamclip_cache"


@dataclass
class EmbedderSettings(CheckpointSettings, DeviceSettings):
    # Whose embeddings say how alike two photos are: "newest" (the newest fine-tuned checkpoint), a checkpoint, or a
    # pretrained model as it is: ViT-B/32, resnet50, efficientnet-lite0 ...
    embedder: str = "newest"
    # A local weights file for a pretrained model, as in training.
    weights: str | None = None
    # Photos encoded at once.
    batch_size: int = 64


@dataclass
class SplitSettings(SeedSettings):
    # Share of the identities (not of the photos) held out to choose the threshold. A hash of the name decides,
    # so that adding identities never moves one from a side to another.
    val_ratio: float = 0.15
    # Share of the identities held out to report on.
    test_ratio: float = 0.15


@dataclass
class DataFolders:
    # Folder of photos: one sub-folder an identity (a licence plate), nested as deep as you like below it.
    data_dir: str = "output1"
    # Three given folders instead of a split of data_dir; all three or none.
    train_dir: str | None = None
    # The second of the three: it chooses thresholds and the best epoch.
    val_dir: str | None = None
    # The third: it is only reported on.
    test_dir: str | None = None


@dataclass
class DataSettings(SplitSettings, DataFolders):
    # CSV or Parquet "path,group" of photos that are copies of each other, as clean.py writes it (groups.csv):
    # identities that share a group fall on one side. With a split of data_dir only.
    duplicate_groups: str | None = None
    # Fixed pairs per identity on which thresholds are chosen (validation) and figures are reported (test).
    val_pairs_per_class: int = 20
    # Share of pairs that show the same identity, in training, validation and test.
    positive_ratio: float = 0.5


@dataclass
class RuntimeSettings(CheckpointSettings, DecodingSettings, DeviceSettings):
    """What train.py, evaluate.py and predict.py share."""


# -- the scripts ------------------------------------------------------------------------------------------------------


@dataclass
class TrainConfig(GeometrySettings, LoaderSettings, RuntimeSettings, DataSettings):
    # "baseline" leaves everything as it stands here; "strong" changes what RECIPES below says.
    recipe: Literal["baseline", "strong"] = "baseline"

    # -- model ----------------------------------------------------------------------------------------------

    # An OpenAI CLIP name (ViT-B/32, ViT-B/16, ViT-L/14, RN50, ...), an open_clip "architecture:tag",
    # "resnet50", or "efficientnet-lite0".
    model: str = "ViT-B/32"
    # A local weights file instead of the published ones, or "random".
    weights: str | None = None
    # Side in pixels of the square that the network sees; by default what the weights were trained with.
    image_size: int | None = None
    # Keep the patch embedding (the stem of a convolutional tower) as it is.
    freeze_patch_embedding: bool = False
    # Keep the first n blocks as they are.
    freeze_blocks: int = 0
    # Recompute activations in the backward pass: less memory, about a third more time.
    gradient_checkpointing: bool = False

    # -- pairs ----------------------------------------------------------------------------------------------

    # Pairs per identity and epoch, drawn anew each epoch.
    samples_per_class: int = 20
    # Negatives: from any other identity, or from the nearest ones under the current embeddings.
    negatives: Literal["random", "hard"] = "random"
    # With "hard": how many of the nearest other photos to draw from.
    hard_pool: int = 50
    # A batch is a list of drawn pairs, or some photos of each of some identities, all of whose pairs count.
    # No photo is encoded twice in either.
    batching: Literal["pairs", "identities"] = "pairs"
    # With "identities": at most this many photos of each.
    photos_per_class: int = 4

    # -- augmentation (training only) -----------------------------------------------------------------------

    # Mirror photos. It mirrors the plate's text too: switch it off where that matters.
    flip: bool = True
    # Share of the photos that are mirrored.
    flip_probability: float = 0.5
    # Change brightness and contrast. It changes a vehicle's colour a little, too.
    jitter: bool = True
    # Brightness is multiplied by a factor in [1 - brightness, 1 + brightness].
    brightness: float = 0.2
    # Contrast likewise.
    contrast: float = 0.2
    # Random crop and shift: the largest share of a side that is cut away (0: off).
    random_crop: float = 0.0
    # Probability that a random rectangle is blanked out (0: off).
    random_erasing: float = 0.0
    # Folders that augment.py wrote (its --output_dir): their images join the training photos, but for those that show
    # or are made of a validation or test identity. Images of two identities with --loss contrastive only.
    augmented_dir: tuple[str, ...] = ()
    # Mix the photos of a batch (samplepairing, mixup, cutmix: with --loss contrastive only) or hide parts of them
    # (random_erasing, gridmask, hide_and_seek: with every loss). Of several methods, one is drawn for each batch.
    mix: tuple[str, ...] = ()
    # Share of the batches that are mixed or masked.
    mix_probability: float = 0.5
    # Settings of these methods, as in samplepairing.strategy=feature.
    mix_set: tuple[str, ...] = ()
    # Hide number plates, so that the network cannot learn to read them: a CSV "path,x1,y1,x2,y2" ...
    plate_boxes: str | None = None
    # ... or a detector ("haar" ships with OpenCV, "ocr" needs rapidocr-onnxruntime).
    plate_detector: Literal["none", "haar", "ocr"] = "none"
    # Share of the training photos in which the plate is hidden.
    plate_mask_probability: float = 1.0

    # -- loss -----------------------------------------------------------------------------------------------

    # "contrastive", or one of pytorch-metric-learning: triplet, multi-similarity, ntxent, supcon, circle, proxy-anchor,
    # arcface.
    loss: str = "contrastive"
    # Pairs of different identities are pushed apart up to this distance, in (0, 2].
    margin: float = 0.5
    # Pairs of one identity are pulled together down to this distance.
    positive_margin: float = 0.0

    # -- optimisation ---------------------------------------------------------------------------------------

    # Pairs in a batch (photos, with batching "identities"); of each process, if there are several.
    batch_size: int = 32
    # Passes over the drawn pairs (the photos, with batching "identities").
    num_epochs: int = 50
    # Of the topmost layer, after the warm-up.
    learning_rate: float = 1e-6
    # Not applied to biases and norms.
    weight_decay: float = 0.01
    # SGD has Nesterov momentum 0.9.
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    # After the warm-up the learning rate falls along a half cosine to zero, or stays.
    scheduler: Literal["cosine", "constant"] = "cosine"
    # Epochs during which the learning rate rises from zero.
    warmup_epochs: float = 1.0
    # The learning rate shrinks by this factor with every block below the top (1: off).
    layer_decay: float = 1.0
    # Largest gradient norm (0: off).
    clip_norm: float = 1.0
    # Batches per optimiser step.
    accumulation_steps: int = 1
    # Stop after this many epochs without an improvement of min_delta in validation AUC (0: never).
    early_stopping_patience: int = 10
    # The least gain in validation AUC that counts as an improvement.
    min_delta: float = 0.0005
    # After training, blend pretrained and fine-tuned weights as validation likes best (WiSE-FT).
    wise_ft: bool = True

    # A fixed distance at which to state the accuracy in the training log, as val_accuracy. By default it is stated at
    # the threshold that validation chooses after each epoch, which is also the one that checkpoints store.
    threshold: float | None = None

    # Where history, curves, TensorBoard files and the effective settings go.
    log_dir: str = "logs"
    # Name of the run; by default the model and the time.
    run_name: str | None = None
    # Keep a checkpoint of every n-th epoch.
    save_every: int = 5
    # Minutes between saves inside a long epoch, so that little is lost when the machine stops.
    save_every_minutes: float = 10.0
    # Go on with run_name (or the newest run) where it stopped.
    resume: bool = False


# What may differ between a run and its continuation: nothing that the weights depend on.
MAY_CHANGE_ON_RESUME = frozenset(
    ("resume", "run_name", "device", "num_workers", "cache_gb", "checkpoint_dir", "log_dir", "save_every_minutes")
)

# What --recipe strong changes: batches of whole identities with all their pairs, a loss that looks for hard ones,
# crops, and a learning rate that moves the weights. `python benchmarks/recipes.py` measures the steps.
RECIPES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "strong": {
        "batching": "identities",
        "loss": "multi-similarity",
        "batch_size": 64,
        "num_epochs": 8,
        "random_crop": 0.25,
        "random_erasing": 0.3,
        "weight_decay": 0.01,
    },
}
# ... and, as towers differ, by model. Convolutional towers were measured; for the transformers these are the
# learning rates and the layer-wise decay that the literature fine-tunes CLIP with.
STRONG_BY_MODEL: dict[str, dict[str, Any]] = {
    "efficientnet-lite0": {"learning_rate": 1e-3, "image_size": 160},
    "resnet50": {"learning_rate": 1e-4},
    "transformer": {"learning_rate": 1e-5, "layer_decay": 0.75, "freeze_patch_embedding": True},
}


def recipe_settings(recipe: str = TrainConfig.recipe, model: str = TrainConfig.model) -> dict[str, Any]:
    """What a recipe changes for a model; nothing for a recipe that does not exist (the parser refuses it)."""
    settings = dict(RECIPES.get(recipe, {}))
    if recipe == "strong":
        settings |= STRONG_BY_MODEL.get(model, STRONG_BY_MODEL["transformer"])
    return settings


@dataclass
class EvaluatedFolders:
    # Folder of photos: one sub-folder an identity. Those that the checkpoint was trained on are left out.
    data_dir: str = "output1"
    # Folder with the validation identities, if they do not lie in data_dir.
    val_dir: str | None = None
    # A run's folder, one of its checkpoints, or "newest".
    checkpoint: str = "newest"


@dataclass
class EvaluateConfig(SeedSettings, RuntimeSettings, EvaluatedFolders):
    # Embedders to put beside the checkpoint: model names or checkpoints. Its own pretrained weights are
    # always among them where they are to be had.
    compare: tuple[str, ...] = ()
    # Which identities: "test" (the checkpoint has never seen them), "val" (they chose its epoch and threshold), "all".
    # By default those never seen: all of them, in a folder of which none was trained on. The report says where the
    # figures flatter.
    split: Literal["test", "val", "all"] | None = None
    # The rule by which validation chooses the threshold.
    threshold_rule: Literal["f1", "accuracy", "eer", "far"] = "f1"
    # The share of different vehicles that may be called the same; sets threshold_rule to "far".
    target_far: float | None = None
    # How validation turns a distance into a probability.
    calibration: Literal["platt", "isotonic"] = "platt"
    # Share of same pairs for which accuracy, precision, F1 and probabilities are stated.
    positive_ratio: float = 0.5
    # CSV "path_a,path_b,same,plate": pairs with the same plate text on another vehicle, reported apart.
    cloned_pairs: str | None = None
    # At most this many different-vehicle pairs; up to it all of them are used.
    max_negative_pairs: int = 200_000
    # For the 95% intervals (0: none).
    bootstrap_replicates: int = 1000
    # Photos encoded at once.
    batch_size: int = 64
    # Where report.html, metrics.json, pairs.csv and the plots go; by default reports/<run>.
    out: str | None = None


# Of predict.py --checkpoint none: no data chose it, so look at the distances.
UNCALIBRATED_THRESHOLD = 0.5


@dataclass
class ComparedPhotos:
    # The first of two photos to compare ...
    img1: str | None = None
    # ... and the second.
    img2: str | None = None
    # Or a CSV of pairs with the columns img1,img2, whose relative paths start at the CSV's own folder.
    pairs: str | None = None
    # Where the rows of --pairs go with their answers.
    out: str | None = None
    # Or one photo to look for ...
    query: str | None = None
    # ... among those of this folder and all below it.
    folder: str | None = None
    # The most alike photos to list.
    top_k: int = 5


@dataclass
class PredictConfig(EmbeddingCacheSettings, RuntimeSettings, ComparedPhotos):
    # A run's folder, one of its checkpoints, "newest", or "none" for the pretrained model as it is.
    checkpoint: str = "newest"
    # With --checkpoint none: the pretrained model (by default ViT-B/32) ...
    model: str | None = None
    # ... and its weights, as in training.
    weights: str | None = None
    # Largest distance at which two photos show the same vehicle; by default the checkpoint's own, and 0.5 with
    # --checkpoint none.
    threshold: float | None = None
    # Probability below which an answer is called "near the threshold: look yourself". Where there is no
    # calibration (--checkpoint none), a distance within a tenth of the threshold is called so.
    doubt_below: float = 0.75
    # Print JSON.
    json: bool = False
    # Draw the two photos and the answer into this PNG.
    figure: str | None = None
    # Photos encoded at once.
    batch_size: int = 64


Settings = TypeVar("Settings")


def load(config_type: type[Settings], argv: Sequence[str] | None = None, description: str | None = None) -> Settings:
    """The effective settings of a script: this file, then the recipe, then ``--config``, then the flags.

    Raises UserError on a flag that does not exist or does not parse, a bad YAML file, or a value outside its range.
    """
    argv = sys.argv[1:] if argv is None else argv
    if config_type is not TrainConfig:
        return command_line.parse(config_type, argv, description)
    return command_line.parse(config_type, argv, description, recipe_settings, ("recipe", "model"))
