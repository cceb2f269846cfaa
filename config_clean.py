"""Every setting of clean.py and its default; config.py tells how to change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config import EmbedderSettings, SeedSettings, SplitSettings


@dataclass
class LayoutSettings:
    # "classes": one folder an identity; "sides": train, val and test above these; "flat": no identities.
    layout: Literal["classes", "sides", "flat"] = "classes"


@dataclass
class CleanFolders:
    # The collection: a folder of class folders, or a flat one. May also stand without its flag.
    data: str = "output1"
    # Folder of the run: what the scan finds, the findings, the report, the quarantine.
    out: str = "clean_run"


@dataclass
class CleanScanConfig(EmbedderSettings, CleanFolders):
    # Processes that read and decode (0: one a core).
    processes: int = 0
    # Read every file again, even where size and time are those of the last scan.
    reread: bool = False
    # A model or checkpoint, as in predict.py, for the methods that need embeddings; "none" for no embeddings;
    # "auto" takes the newest checkpoint if there is one, and says which.
    embedder: str = "auto"
    # Perceptual hashes of the turned and mirrored photo too. In `run`, copies are then looked for in all eight
    # orientations; in `find`, with --set phash.orientations=true.
    orientations: bool = False
    # No-reference quality: brisque (needs the brisque package) or any metric of pyiqa.
    iqa: tuple[str, ...] = ()
    # Weights of these metrics that shall not be downloaded: metric=file.
    iqa_weights: tuple[str, ...] = ()
    # The run of an archive: new photos are compared with each other and with it, the archive not with itself.
    new_against: str | None = None


@dataclass
class CleanFindConfig(SplitSettings, LayoutSettings):
    # Methods, families of methods, "default" or "all": see `python clean.py methods`.
    methods: tuple[str, ...] = ("default",)
    # Settings of methods, as in laplacian.threshold=80 phash.threshold=8.
    set: tuple[str, ...] = ()
    # Look for leaks across the split that train.py would draw with these val_ratio, test_ratio and seed.
    check_split: bool = False
    # Nothing is removed from these folders; their photos are kept before copies elsewhere, in this order.
    protected: tuple[str, ...] = ()
    # No identity is left with fewer photos than this by what is proposed.
    min_per_class: int = 2
    # Smallest cosine at which two photos of one identity are the same view. Likeness below it is what the network
    # learns from.
    same_view: float = 0.99
    # Compare local features of the pairs that are near a threshold.
    verify: bool = True
    # Matching local features from which two photos are copies.
    min_inliers: int = 12
    # Decisions of another run ("not duplicates") to respect here.
    not_duplicates: str | None = None


@dataclass
class CleanReportConfig:
    # MB of thumbnails inside the page; photos beyond it are shown from their files.
    thumbnails_mb: float = 60.0


@dataclass
class CleanRunConfig(CleanReportConfig, CleanFindConfig, CleanScanConfig):
    """Scan, find and report in one go."""


@dataclass
class CleanApplyConfig:
    # Do it. Without this flag nothing is moved: what would be moved is listed.
    yes: bool = False
    # Only what these methods propose to remove.
    methods: tuple[str, ...] = ("all",)
    # The decisions that the report exported: they win over the proposals.
    decisions: str | None = None
    # Where removed photos go; by default the run's folder "quarantine".
    quarantine: str | None = None
    # Write the cleaned collection into this folder instead, and leave the original as it is.
    export: str | None = None
    # Hard links cost no space but need the same file system.
    export_mode: Literal["hardlink", "copy"] = "hardlink"


@dataclass
class CleanUndoConfig:
    # Take back only the last apply.
    last: bool = False


@dataclass
class CleanCalibrateConfig(SeedSettings, LayoutSettings):
    # The method whose threshold is in question: semantic or one of the hashes.
    method: str = "phash"
    # Pairs to ask about.
    questions: int = 100
    # Answers in JSON, from the page that this command writes; without it, questions are asked here.
    answers: str | None = None
    # The share of found pairs that are to be copies.
    target_precision: float = 0.99
