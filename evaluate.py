"""Measure a checkpoint on identities that it has never seen: verification, retrieval, calibration, cloned plates.

    python evaluate.py --data_dir photos                                    the newest checkpoint
    python evaluate.py --data_dir photos --compare resnet50 ViT-B/32        beside other embedders
    python evaluate.py --data_dir photos --target_far 0.01                  at most 1% of different vehicles accepted
    python evaluate.py --data_dir photos --cloned_pairs cloned_pairs.csv    cloned plates apart

The validation identities choose threshold and calibration; the metrics are those of the test identities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import EvaluateConfig, load
from siamclip.errors import UserError, exit_on_user_error, settings_called

if TYPE_CHECKING:  # what takes long to load is imported where it is used, so that --help is quick
    from rich.console import Console

    from siamclip.evaluation.compared_embedders import ComparedEmbedder
    from siamclip.evaluation.measurement.contracts import EmbeddedPhotos, EvaluationProtocol, Measurement
    from siamclip.evaluation.photo_selection import EvaluatedPhotos, SeenIdentities


def main() -> None:
    from rich.console import Console

    from siamclip.device import reuse_large_buffers

    config = load(EvaluateConfig, description=__doc__)
    reuse_large_buffers()
    evaluate(config, Console())


def evaluate(config: EvaluateConfig, console: Console) -> Path:
    """Measure, and write the report; returns its path. Raises UserError."""
    from siamclip.cli.progress_bars import Bars
    from siamclip.cli.yaml_settings import as_yaml
    from siamclip.evaluation import compared_embedders as embedders
    from siamclip.evaluation.measurement.cloned_plates import clone_metrics, pairs_by_plate, read_cloned_pairs
    from siamclip.evaluation.measurement.measure import measure_embedder, score, verification_metrics
    from siamclip.evaluation.photo_selection import SeenIdentities, fairness_notes, few_identities_note
    from siamclip.evaluation.report.console import print_results
    from siamclip.evaluation.report.files import claim_folder, write_evaluation
    from siamclip.evaluation.report.metrics_json import cloned_plates_entry, metrics_entry
    from siamclip.models import checkpoint

    protocol = protocol_of(config)
    folder = checkpoint.find(config.checkpoint, Path(config.checkpoint_dir))
    metadata = checkpoint.read_metadata(folder)
    run = Path(str(metadata.get("run", ""))).name or folder.name
    out = Path(config.out) if config.out else Path("reports") / run
    claim_folder(out, [Path(name) for name in (config.data_dir, config.val_dir) if name])
    seen = SeenIdentities.of(metadata)
    photos = find_photos(config, seen)
    compared, notes = open_embedders(config, folder, metadata)
    own = compared[0].name

    with Bars(console) as progress:
        files = photos.files()
        embeddings, unreadable = embedders.embed_all(compared, files, progress)
        photos = photos.without(unreadable)
        notes = fairness_notes(photos, seen) + notes
        notes += embedders.overlap_notes(compared[1:], photos.evaluated.identities) + few_identities_note(photos)
        photos, threshold_notes = check_validation(photos, config)
        embedded_photos = partial(embedders.embedded_photos, files, embeddings, config.max_negative_pairs, config.seed)
        evaluated = embedded_photos(photos.evaluated)
        validation = embedded_photos(photos.validation) if photos.validation else {}
        passes = 2 * len(compared) + len(validation) // len(compared)
        advance = partial(progress.advance, progress.add_task("bootstrap", total=passes * protocol.replicates))
        measurements = {
            c.name: measure_embedder(evaluated[c.name], validation.get(c.name), c.stored, protocol, advance)
            for c in compared
        }
        threshold = measurements[own].threshold
        if threshold is None:
            problem = "stores no threshold, and there are no validation identities to choose one with"
            raise UserError("checkpoint", problem, "give the run's best checkpoint, or `val_dir`", folder)
        on_validation = None
        if validation:
            on_validation = verification_metrics(score(validation[own]), threshold, protocol, advance)

    if config.cloned_pairs is not None:
        clones = read_cloned_pairs(Path(config.cloned_pairs), photos.evaluated)
    else:
        clones = pairs_by_plate(photos.evaluated)
    clone_distances, of_clones = clone_metrics(evaluated[own].embeddings, clones, threshold.value, protocol)
    results = {
        "run": run,
        "checkpoint": str(folder),
        "model": f"{metadata['encoder']['model']}, {compared[0].embedder.preprocessing.size} px",
        "side": photos.side,
        "warnings": notes + threshold_notes,
        "validation": metrics_entry(on_validation) if on_validation else None,
        "cloned_plates": cloned_plates_entry(clones, of_clones, config.cloned_pairs is not None),
        **measured_results(config, metadata, photos, evaluated[own], measurements),
    }
    page = write_evaluation(out, results, measurements, photos.evaluated, clones, clone_distances, as_yaml(config))
    print_results(console, results, page)
    return page


def measured_results(
    config: EvaluateConfig,
    metadata: Mapping[str, Any],
    photos: EvaluatedPhotos,
    evaluated: EmbeddedPhotos,
    measurements: Mapping[str, Measurement],
) -> dict[str, Any]:
    """What metrics.json holds of photos, pairs and embedders. The first of these is the one that is evaluated."""
    from datetime import datetime, timezone

    from siamclip.evaluation.report import metrics_json
    from siamclip.metrics.verification import confusion

    own = next(iter(measurements.values()))
    threshold, scored = own.threshold, own.scored
    assert threshold is not None  # evaluate() has refused the checkpoint otherwise
    left_out = photos.left_out
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data_dir": config.data_dir,
        "photos": metrics_json.photos_entry(photos.evaluated, photos.validation, own.photos_alone, left_out),
        "pairs": metrics_json.pairs_entry(evaluated, config.positive_ratio),
        "decision": metrics_json.threshold_entry(threshold, protocol_of(config), metadata),
        "figures": metrics_json.metrics_entry(own.metrics),
        "confusion": asdict(confusion(scored.distances, scored.pairs.same, threshold.value)),
        "all_pairs": metrics_json.all_pairs_entry(evaluated, threshold.value),
        "comparison": [metrics_json.comparison_entry(name, found) for name, found in measurements.items()],
        "settings": asdict(config),
    }


def protocol_of(config: EvaluateConfig) -> EvaluationProtocol:
    """Raises UserError where threshold_rule and target_far contradict each other."""
    from siamclip.evaluation.measurement.contracts import EvaluationProtocol

    rule = config.threshold_rule
    if config.target_far is not None:
        if rule not in ("f1", "far"):  # f1 is the default, and cannot be told from a wish
            problem = f"contradicts `threshold_rule` {rule}"
            raise UserError("target_far", problem, "leave one out", config.target_far)
        rule = "far"
    elif rule == "far":
        raise UserError("threshold_rule", "needs `target_far`, such as `target_far` 0.01", value=rule)
    return EvaluationProtocol(
        rule, config.target_far, config.calibration, config.positive_ratio, config.bootstrap_replicates, config.seed
    )


def find_photos(config: EvaluateConfig, seen: SeenIdentities | None) -> EvaluatedPhotos:
    """The photos to evaluate, and those that choose the threshold. Raises UserError."""
    from siamclip.data.collection import Collection
    from siamclip.evaluation.photo_selection import select_photos

    whole = Collection.from_folder(Path(config.data_dir))
    elsewhere = None
    if config.val_dir is not None:
        with settings_called(data_dir="val_dir"):
            elsewhere = Collection.from_folder(Path(config.val_dir))
    return select_photos(whole, elsewhere, seen, config.split)


def open_embedders(
    config: EvaluateConfig, folder: Path, metadata: dict[str, Any]
) -> tuple[list[ComparedEmbedder], list[str]]:
    """The checkpoint, the pretrained weights it started from where they are to be had, and those of --compare.

    Also returns a note where the pretrained weights are not to be had. Raises UserError.
    """
    from siamclip.evaluation import compared_embedders as embedders

    settings = {
        "device": config.device,
        "precision": config.precision,
        "batch_size": config.batch_size,
        "workers": config.num_workers,
    }
    found, notes = [embedders.open_checkpoint(folder, **settings)], []
    try:
        found.append(embedders.open_pretrained(metadata, **settings))
    except UserError as error:
        notes.append(f"Not compared with the pretrained weights: {error.told('--{}'.format)}.")
    found += embedders.open_compared(config.compare, Path(config.checkpoint_dir), **settings)
    return embedders.with_unique_names(found), notes


def check_validation(photos: EvaluatedPhotos, config: EvaluateConfig) -> tuple[EvaluatedPhotos, list[str]]:
    """The same without validation photos where these cannot choose a threshold, and then a note of it.

    Raises UserError where a threshold of one's own was asked for.
    """
    from siamclip.data.collection import check_usable

    if photos.validation is None:
        return photos, []
    try:
        check_usable("validation", photos.validation)
    except UserError as error:
        if config.target_far is not None or config.val_dir is not None:
            problem = f"no threshold can be chosen: {error}"
            raise UserError("", problem, "give others with `val_dir`") from None
        note = (
            "Threshold and calibration are those that the checkpoint stores, and --threshold_rule and --calibration "
            f"have no effect, as {error}."
        )
        return replace(photos, validation=None), [note]
    return photos, []


if __name__ == "__main__":
    with exit_on_user_error():
        main()
