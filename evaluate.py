"""Measure a checkpoint on identities that it has never seen: verification, retrieval, calibration, cloned plates.

    python evaluate.py --data_dir photos                                    the newest checkpoint
    python evaluate.py --data_dir photos --compare resnet50 ViT-B/32        beside other embedders
    python evaluate.py --data_dir photos --target_far 0.01                  at most 1% of different vehicles accepted
    python evaluate.py --data_dir photos --cloned_pairs cloned_pairs.csv    cloned plates apart

The validation identities choose threshold and calibration; the figures are those of the test identities.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from config import EvaluateConfig, load
from dataset import plate_of
from siamclip.cli.progress_bars import Bars
from siamclip.cli.yaml_settings import as_yaml
from siamclip.data.collection import Collection, check_usable
from siamclip.data.pairs import all_pairs
from siamclip.device import reuse_large_buffers
from siamclip.errors import UserError, exit_on_user_error
from siamclip.evaluation.cloned_plates import ClonedPairs, judge_clones, pairs_by_plate, read_cloned_pairs
from siamclip.evaluation.embedders import (
    Candidate,
    embed_all,
    named_apart,
    open_checkpoint,
    open_compared,
    open_pretrained,
)
from siamclip.evaluation.measure import (
    Decision,
    Measured,
    Protocol,
    ScoredPairs,
    Side,
    measure,
    score,
    verification_figures,
    worst_errors,
)
from siamclip.evaluation.report import page as report
from siamclip.evaluation.report import plots
from siamclip.evaluation.report.console import print_results
from siamclip.evaluation.report.files import claim_folder, write_comparison, write_metrics, write_pairs, write_report
from siamclip.evaluation.report.plot_set import draw_all
from siamclip.evaluation.results import (
    Photos,
    as_json,
    described_clones,
    described_decision,
    described_pairs,
    described_photos,
    every_pair,
)
from siamclip.metrics.verification import confusion
from siamclip.models import checkpoint

if TYPE_CHECKING:
    from rich.console import Console

FEW_IDENTITIES = 30  # below that, intervals from a bootstrap over identities are clearly too narrow
GALLERY = 12  # pairs of each kind of error
SIDES = {"test": "test identities", "val": "validation identities", "all": "all identities"}


def evaluate(config: EvaluateConfig, console: Console) -> Path:
    """Measure, and write the report; returns its path. Raises UserError."""
    protocol = protocol_of(config)
    folder = checkpoint.find(config.checkpoint, Path(config.checkpoint_dir))
    metadata = checkpoint.read_metadata(folder)
    run = Path(str(metadata.get("run", ""))).name or folder.name
    out = Path(config.out) if config.out else Path("reports") / run
    claim_folder(out, [Path(name) for name in (config.data_dir, config.val_dir) if name])
    photos = load_photos(config, metadata)
    candidates = open_candidates(config, folder, metadata, photos)
    own = candidates[0].name

    with Bars(console) as progress:
        files = photos.files()
        embeddings, unreadable = embed_all(candidates, files, progress)
        settle(photos, unreadable, config)
        row_of = {file: row for row, file in enumerate(files)}
        sides = sides_of(photos.evaluated, row_of, embeddings, config)
        checks = sides_of(photos.validation, row_of, embeddings, config) if photos.validation else {}
        passes = 2 * len(candidates) + len(checks) // len(candidates)
        advance = partial(progress.advance, progress.add_task("bootstrap", total=passes * protocol.replicates))
        measured = {c.name: measure(sides[c.name], checks.get(c.name), c.stored, protocol, advance) for c in candidates}
        decision = measured[own].decision
        if decision is None:
            raise UserError(
                f"--checkpoint {folder}: stores no threshold, and there are no validation identities to choose one "
                "with; give the run's best checkpoint, or --val_dir"
            )
        validation = verification_figures(score(checks[own]), decision, protocol, advance) if checks else None

    scored = measured[own].scored
    clones = cloned_pairs(config, photos.evaluated)
    clone_distances, clone_figures = judge_clones(sides[own].embeddings, clones, decision.threshold, protocol)
    results = {
        "run": run,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "checkpoint": str(folder),
        "model": f"{metadata['encoder']['model']}, {candidates[0].embedder.preprocessing.size} px",
        "data_dir": config.data_dir,
        "side": SIDES[config.split],
        "warnings": photos.warnings,
        "photos": described_photos(photos, measured[own]),
        "pairs": described_pairs(sides[own], config.positive_ratio),
        "decision": described_decision(decision, protocol, metadata),
        "figures": as_json(measured[own].figures),
        "confusion": asdict(confusion(scored.distances, scored.pairs.same, decision.threshold)),
        "validation": as_json(validation) if validation else None,
        "all_pairs": every_pair(sides[own], decision.threshold),
        "comparison": [
            {"name": name, "threshold": m.threshold, "figures": as_json(m.figures)} for name, m in measured.items()
        ],
        "cloned_plates": described_clones(clones, clone_figures, config.cloned_pairs is not None),
        "settings": asdict(config),
    }
    path = write_all(out, results, measured, photos.evaluated, clones, clone_distances, decision, config)
    print_results(console, results, path)
    return path


def protocol_of(config: EvaluateConfig) -> Protocol:
    """Raises UserError where --threshold_rule and --target_far contradict each other."""
    rule = config.threshold_rule
    if config.target_far is not None:
        if rule not in ("f1", "far"):  # f1 is the default, and cannot be told from a wish
            raise UserError(f"--target_far {config.target_far}: contradicts --threshold_rule {rule}; leave one out")
        rule = "far"
    elif rule == "far":
        raise UserError("--threshold_rule far: needs --target_far, such as --target_far 0.01")
    return Protocol(
        rule, config.target_far, config.calibration, config.positive_ratio, config.bootstrap_replicates, config.seed
    )


# -- who is evaluated -------------------------------------------------------------------------------------------


def load_photos(config: EvaluateConfig, metadata: dict[str, Any]) -> Photos:
    """The photos on the sides that the checkpoint's metadata gives to their identities. Raises UserError."""
    split = metadata.get("split")
    if not isinstance(split, dict) or not all(isinstance(split.get(side), list) for side in ("train", "val")):
        raise UserError(f"--checkpoint {config.checkpoint}: does not say what it was trained on; train again")
    # macOS writes names decomposed: the same folder may come back in another form.
    known = {unicodedata.normalize("NFC", name): side for side in ("val", "train") for name in split[side]}

    def sides(collection: Collection) -> np.ndarray:
        """(N,) side of each photo; identities that came after the training are as good as test."""
        names = (unicodedata.normalize("NFC", name) for name in collection.identities)
        return np.array([known.get(name, "test") for name in names])[collection.labels]

    whole = Collection.from_folder(Path(config.data_dir))
    found = sides(whole)
    wanted = np.full(len(whole), True) if config.split == "all" else found == config.split
    if not wanted.any():
        raise UserError(
            f"--data_dir {config.data_dir}: none of its {len(whole.identities)} identities is among the "
            f"{SIDES[config.split]} of this checkpoint; give other photos, or --split all"
        )
    left_out = [(file.path, file.reason) for file in whole.skipped]
    apart, apart_sides = whole, found
    if config.val_dir is not None:
        apart = Collection.from_folder(Path(config.val_dir))
        apart_sides = np.where(sides(apart) == "train", "train", "val")
        left_out += [(str(apart.root / file.path), file.reason) for file in apart.skipped]
    return Photos(whole.select(wanted), apart.select(apart_sides == "val"), left_out)


def settle(photos: Photos, unreadable: Mapping[Path, str], config: EvaluateConfig) -> None:
    """Drop the photos that could not be decoded, and note what makes the figures less than fair. Raises UserError."""
    photos.left_out += [(str(path), reason) for path, reason in unreadable.items()]
    photos.evaluated = photos.evaluated.select(np.array([f not in unreadable for f in photos.evaluated.files]))
    check_usable("evaluated", photos.evaluated)
    number = len(photos.evaluated.identities)
    if config.split == "all":
        photos.warnings.insert(0, "Identities of the training are evaluated too: these figures flatter.")
    if config.split == "val":
        photos.warnings.insert(0, "Evaluated on the identities that chose epoch and threshold: these figures flatter.")
    if number < FEW_IDENTITIES:
        photos.warnings.append(f"Only {number} identities are evaluated: the true intervals are wider than these.")
    if photos.validation is None:
        return
    try:
        readable = np.array([f not in unreadable for f in photos.validation.files], dtype=bool)
        photos.validation = photos.validation.select(readable)
        check_usable("validation", photos.validation)
    except UserError as error:
        if config.target_far is not None or config.val_dir is not None:
            raise UserError(f"no threshold can be chosen: {error}; give others with --val_dir") from None
        photos.validation = None
        photos.warnings.append(
            f"Threshold and calibration are those that the checkpoint stores, and --threshold_rule and --calibration "
            f"have no effect, as {error}."
        )


def open_candidates(config: EvaluateConfig, folder: Path, metadata: dict[str, Any], photos: Photos) -> list[Candidate]:
    """The checkpoint, the pretrained weights it started from where they are to be had, and those of --compare."""
    settings = {
        "device": config.device,
        "precision": config.precision,
        "batch_size": config.batch_size,
        "workers": config.num_workers,
    }
    found = [open_checkpoint(folder, **settings)]
    try:
        found.append(open_pretrained(metadata, **settings))
    except UserError as error:
        photos.warnings.append(f"Not compared with the pretrained weights: {error}.")
    found += open_compared(config.compare, Path(config.checkpoint_dir), **settings)
    for candidate in found[1:]:
        seen = candidate.trained_on & set(photos.evaluated.identities)
        if seen:
            photos.warnings.append(f"{candidate.name} was trained on {len(seen)} of these identities: it is flattered.")
    return named_apart(found)


def sides_of(
    collection: Collection, row_of: Mapping[Path, int], embeddings: Mapping[str, np.ndarray], config: EvaluateConfig
) -> dict[str, Side]:
    """The collection as each embedder sees it; the same pairs for all of them."""
    rows = np.array([row_of[file] for file in collection.files])
    pairs = all_pairs(collection.labels, config.max_negative_pairs, config.seed)
    return {name: Side(vectors[rows], collection.labels, pairs) for name, vectors in embeddings.items()}


def cloned_pairs(config: EvaluateConfig, evaluated: Collection) -> ClonedPairs:
    """From the CSV or, without one, from folders that share a plate."""
    if config.cloned_pairs is not None:
        return read_cloned_pairs(Path(config.cloned_pairs), evaluated.root, evaluated.paths, evaluated.labels)
    return pairs_by_plate(evaluated.labels, [plate_of(name) for name in evaluated.identities])


# -- what metrics.json says ---------------------------------------------------------------------------------------


# -- what is written and shown ------------------------------------------------------------------------------------


def write_all(
    out: Path,
    results: dict[str, Any],
    measured: dict[str, Measured],
    evaluated: Collection,
    clones: ClonedPairs,
    clone_distances: np.ndarray,
    decision: Decision,
    config: EvaluateConfig,
) -> Path:
    """All files of the report; returns the path of its page. Raises UserError where they cannot be written."""
    own = next(iter(measured.values()))
    try:
        write_metrics(out, results)
        write_pairs(out, own.scored, evaluated.paths, decision)
        write_comparison(out, measured, report.COMPARED)
        scored = {name: found.scored for name, found in measured.items()}
        drawn = draw_all(scored, decision, config.positive_ratio, out)
        clone_plot = None
        if len(clones):
            clone_plot = out / "cloned_plates.png"
            title, names = "Same plate text", ("same vehicle", "other vehicle")
            plots.distance_histogram(clone_distances, clones.pairs.same, decision.threshold, clone_plot, title, names)
        accepts, rejects = (
            [shown(own.scored, decision, evaluated, position) for position in positions]
            for positions in worst_errors(own.scored, decision.threshold, GALLERY)
        )
        page = report.render(results, drawn, clone_plot, accepts, rejects, as_yaml(config))
        return write_report(out, page)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror or error}); make room there") from None


def shown(scored: ScoredPairs, decision: Decision, evaluated: Collection, position: int) -> report.PhotoPair:
    distance = scored.distances[position]
    a, b = (evaluated.paths[side[position]] for side in (scored.pairs.first, scored.pairs.second))
    probability = float(decision.calibration.probability(distance))
    return report.PhotoPair((evaluated.root / a, evaluated.root / b), (a, b), float(distance), probability)


def main() -> None:
    config = load(EvaluateConfig, description=__doc__)
    from rich.console import Console

    reuse_large_buffers()
    evaluate(config, Console())


if __name__ == "__main__":
    with exit_on_user_error():
        main()
