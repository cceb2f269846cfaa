"""No-reference image quality: what a network or a fitted model thinks of a photo, one column a metric.

`brisque` comes with the model of the `brisque` package and needs no download (brisque.py). Every other name is one of
`pyiqa` (NIQE, PIQE, MUSIQ, TOPIQ, CLIP-IQA ...), which downloads its weights or takes the file that is given; given a
file, `brisque` is pyiqa's as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.quality.no_reference import brisque
from siamclip.cleaning.quality.thresholds import Limit, findings_beyond
from siamclip.errors import UserError, suggestion

MetricScorer = Callable[[Decoded], dict[str, float]]

THRESHOLDS = {"brisque": 40.0}
# Of pyiqa's metrics for single photos these call a lower value better (its DEFAULT_CONFIGS, 0.1.16): so that a scan
# can be judged where pyiqa is not installed.
LOWER_BETTER = frozenset(("brisque", "brisque_matlab", "niqe", "niqe_matlab", "ilniqe", "piqe", "pi", "afine_nr"))
# Called "NR" by pyiqa, but they compare sets of photos, or a photo with a text.
_NOT_OF_ONE_PHOTO = frozenset(("fid", "sfid", "fid_dinov2", "inception_score", "clipscore", "compare2score"))


def open_metrics(
    names: Sequence[str], weights: Mapping[str, str] | None = None
) -> dict[str, tuple[MetricScorer, dict[str, str]]]:
    """Metric -> (image scorer, its column and dtype), ready to be pickled into the processes of a scan.

    `weights`: metric -> file of pyiqa's, or for brisque a folder with svm.txt and normalize.pickle. Everything that
    can fail does so here: UserError for an unknown name, a missing package, weights that cannot be had.
    """
    weights = dict(weights or {})
    for name in weights.keys() - set(names):
        raise UserError("", f"weights are given for metric {name}, which is not asked for")
    scorers: dict[str, tuple[MetricScorer, dict[str, str]]] = {}
    for name in names:
        path = weights.get(name)
        if path is not None and not Path(path).exists():
            raise UserError("", f"metric {name}: its weights {path} do not exist")
        own = name == "brisque" and (path is None or Path(path).is_dir())
        scorer: MetricScorer = Brisque(path) if own else PyiqaMetric(name, path)
        scorers[name] = scorer, {column(name): "f4"}
    return scorers


def column(metric: str) -> str:
    return f"iqa_{metric}"


class Brisque:
    """BRISQUE with the model of the `brisque` package, or of a folder."""

    def __init__(self, folder: str | None = None) -> None:
        self._model = brisque.load_model(folder)

    def __call__(self, decoded: Decoded) -> dict[str, float]:
        """NaN for a photo without contrast or with a side below 16 pixels, where the statistics are not defined."""
        features = brisque.features(decoded.gray)
        return {column("brisque"): self._model.score(features) if np.isfinite(features).all() else math.nan}


class PyiqaMetric:
    """A metric of pyiqa on the CPU. Unpickled in another process, it is built again when it is first used."""

    def __init__(self, name: str, weights: str | None = None) -> None:
        self._name = name
        self._weights = weights
        self._metric: Any = _create(name, weights)

    def __getstate__(self) -> dict[str, Any]:
        return {"_name": self._name, "_weights": self._weights, "_metric": None}

    def __call__(self, decoded: Decoded) -> dict[str, float]:
        """NaN where the metric cannot be had of the photo: most need some 32 to 200 pixels a side."""
        import torch

        if self._metric is None:
            self._metric = _create(self._name, self._weights)
        image = torch.from_numpy(decoded.rgb).permute(2, 0, 1)[None].float() / 255
        try:
            value = float(self._metric(image).reshape(-1)[0])
        except (RuntimeError, ValueError, IndexError, AssertionError, ZeroDivisionError):
            return {column(self._name): math.nan}  # the method iqa counts them
        return {column(self._name): value}


def _create(name: str, weights: str | None) -> Any:
    pyiqa = _pyiqa(name)
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    known = [metric for metric, entry in DEFAULT_CONFIGS.items() if entry.get("metric_mode") == "NR"]
    known = [metric for metric in known if metric not in _NOT_OF_ONE_PHOTO]
    if name not in known:
        hint = suggestion(name, known, f"choose from {', '.join(sorted(known))}")
        raise UserError("", f"metric {name}: pyiqa has no such metric for a single photo", hint)
    options = {} if weights is None else {"pretrained_model_path": _without_code(name, weights)}
    try:
        return pyiqa.create_metric(name, device="cpu", **options)
    except Exception as error:  # pyiqa lets through what its download, its loader or a metric's own code raises
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            "", f"metric {name}: pyiqa cannot build it ({reason})", "give the file of its weights"
        ) from error


def _without_code(name: str, weights: str) -> str:
    """The path, once it is clear that pyiqa, which unpickles it, will find nothing but tensors in it."""
    import torch

    if Path(weights).suffix.lower() not in (".mat", ".safetensors"):
        try:
            torch.load(weights, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                "", f"metric {name}: {weights} holds more than tensors, or is no file of weights"
            ) from error
    return weights


def _pyiqa(name: str) -> Any:
    try:
        import pyiqa
    except ImportError as error:
        install = 'pip install pyiqa "opencv-python<5"'  # it would bring version 5, without the Haar cascades
        raise UserError("", f"metric {name}: pyiqa is missing ({error})", f"run {install}") from error
    return pyiqa


def iqa(
    photos: PhotoTable,
    *,
    metric: str = "brisque",
    threshold: float | None = None,
    percentile: float | None = None,
    max_share: float = 1 / 3,
) -> Findings:
    """Photos that `metric` calls worse than `threshold`, or the worst `percentile` percent.

    Without a threshold: 40 for brisque; of other metrics none is known. Whether lower is better is known of each.
    Notes count the photos that the metric could not judge. Raises UserError.
    """
    if threshold is None:
        threshold = THRESHOLDS.get(metric, 0.0 if percentile is not None else None)
    if threshold is None:
        raise UserError("set", "needs `set` iqa.threshold=... or `set` iqa.percentile=5", value=f"iqa.metric={metric}")
    values = photos.column(column(metric))
    side = "above" if _lower_is_better(metric) else "below"
    limit = Limit("threshold", threshold, "bad quality", side)
    result = findings_beyond(photos, "iqa", metric, values, [limit], percentile, max_share)
    result.notes["not scored"] = int((photos.readable & ~photos.is_archived & ~np.isfinite(values)).sum())
    return result


def _lower_is_better(metric: str) -> bool:
    if metric in LOWER_BETTER:
        return True
    _pyiqa(metric)
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    return bool(DEFAULT_CONFIGS.get(metric, {}).get("lower_better", False))
