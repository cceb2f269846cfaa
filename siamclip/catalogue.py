"""The method tables of cleaning: name -> where its code lies, loaded only when it is used.

A new method is one file and one row here. The command line's list, the README's and the contract tests come from
these tables. A method's settings are the keyword arguments of its function, with their types and defaults.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from siamclip.errors import UserError, suggestion


@dataclass(frozen=True)
class Scorer:
    """An image scorer: `target(decoded) -> {column: value}`; runs in the scan.

    `columns`: name -> NumPy dtype of one entry ("f4", "u8", "(4,)u8", "U" for text, "S32" for a hash).
    `grey`: it reads `decoded.luma` and the header alone; a scan that only has such scorers decodes no colour.
    Raise `version` when the same photo gives other values than before: scans then compute them again.
    """

    name: str
    target: str
    columns: Mapping[str, str]
    default: bool = True
    version: int = 1
    grey: bool = False


@dataclass(frozen=True)
class Method:
    """A method: `target(photos, **settings) -> Findings | Pairs`; runs on the scanned table.

    `needs`: the scorers whose columns it reads; "embedding" and "labels" where it needs these.
    """

    name: str
    family: str
    target: str
    sees: str  # one line, for people who choose
    needs: tuple[str, ...] = ()
    default: bool = True
    requires: tuple[str, ...] = ()  # settings that have no default


FAMILIES = ("integrity", "size", "sharpness", "exposure", "iqa", "duplicates", "strangers", "labels")

_QUALITY = "siamclip.cleaning.quality."
_DUPLICATES = "siamclip.cleaning.duplicates."
_CONSISTENCY = "siamclip.cleaning.consistency."
_HASHES = ("phash", "ahash", "dhash", "whash")
_BITS_256 = ("perceptual16", "perceptual")  # hash_contrast is the smaller hashes' column

SCORERS: dict[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        Scorer(
            "file",
            _QUALITY + "integrity:describe",
            {
                "format": "U", "mode": "U", "width": "i4", "height": "i4", "frames": "i4", "orientation": "i1",
                "has_alpha": "?", "has_profile": "?", "bits": "i1",
            },
        ),
        Scorer("pixels", _DUPLICATES + "exact:pixel_hash", {"pixel_hash": "S32"}),
        Scorer(
            "perceptual",
            _DUPLICATES + "hashes:perceptual",
            {**{f"{name}8": "u8" for name in _HASHES}, "hash_contrast": "f4"},
            grey=True,
        ),
        Scorer("perceptual16", _DUPLICATES + "hashes:perceptual16", {f"{name}16": "(4,)u8" for name in _HASHES}),
        Scorer(
            "orientations",
            _DUPLICATES + "hashes:orientations",
            {f"{name}8_oriented": "(8,)u8" for name in _HASHES},
            default=False,
            grey=True,
        ),
        Scorer("laplacian", _QUALITY + "laplacian:laplacian_variance", {"laplacian_variance": "f8"}),
        Scorer("spectrum", _QUALITY + "spectrum:spectrum", {"fft_ratio": "f8", "spectrum_entropy": "f8"}),
        Scorer("sobel", _QUALITY + "sobel:sobel_variance", {"sobel_variance": "f8"}),
        Scorer(
            "edges",
            _QUALITY + "edges:edge_densities",
            {"canny_density": "f8", "roberts_density": "f8", "prewitt_density": "f8"},
        ),
        Scorer(
            "exposure",
            _QUALITY + "exposure:exposure",
            {"dark_share": "f8", "bright_share": "f8", "mean_intensity": "f8", "contrast": "f8", "entropy": "f8"},
        ),
    )
}  # fmt: skip

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("unreadable", "integrity", _QUALITY + "integrity:unreadable", "empty, truncated or damaged files"),
        Method("wrong_extension", "integrity", _QUALITY + "integrity:wrong_extension", "a PNG called .jpg", ("file",)),
        Method("animated", "integrity", _QUALITY + "integrity:animated", "files with several frames", ("file",)),
        Method("alpha", "integrity", _QUALITY + "integrity:alpha", "transparency", ("file",)),
        Method("colour_space", "integrity", _QUALITY + "integrity:colour_space", "grey, CMYK, 16 bits", ("file",)),
        Method("orientation", "integrity", _QUALITY + "integrity:orientation", "stored turned or mirrored", ("file",)),
        Method("too_small", "size", _QUALITY + "size:too_small", "fewer pixels than wanted", ("file",)),
        Method("aspect_ratio", "size", _QUALITY + "size:aspect_ratio", "strips and slivers", ("file",)),
        Method(
            "object_area",
            "size",
            _QUALITY + "object_area:object_area",
            "objects too small or too large",
            ("file",),
            False,
            requires=("boxes",),
        ),
        Method("laplacian", "sharpness", _QUALITY + "laplacian:judge", "blur", ("laplacian",)),
        Method("fft_ratio", "sharpness", _QUALITY + "spectrum:judge_ratio", "blur", ("spectrum",), False),
        Method("spectrum_entropy", "sharpness", _QUALITY + "spectrum:judge_entropy", "blur", ("spectrum",), False),
        Method("sobel", "sharpness", _QUALITY + "sobel:judge", "blur", ("sobel",), False),
        Method("canny", "sharpness", _QUALITY + "edges:judge_canny", "few edges", ("edges",), False),
        Method("roberts", "sharpness", _QUALITY + "edges:judge_roberts", "few edges", ("edges",), False),
        Method("prewitt", "sharpness", _QUALITY + "edges:judge_prewitt", "few edges", ("edges",), False),
        Method("under_exposed", "exposure", _QUALITY + "exposure:under_exposed", "large black parts", ("exposure",)),
        Method("over_exposed", "exposure", _QUALITY + "exposure:over_exposed", "large white parts", ("exposure",)),
        Method("intensity", "exposure", _QUALITY + "exposure:intensity", "dark or light as a whole", ("exposure",)),
        Method("low_contrast", "exposure", _QUALITY + "exposure:low_contrast", "flat, foggy", ("exposure",)),
        Method(
            "low_entropy", "exposure", _QUALITY + "exposure:low_entropy", "few grey levels: blank", ("exposure",), False
        ),
        Method("iqa", "iqa", _QUALITY + "iqa:judge", "what a no-reference network or model dislikes", ("iqa",), False),
        Method("exact", "duplicates", _DUPLICATES + "exact:same_bytes", "the same bytes"),
        Method("pixels", "duplicates", _DUPLICATES + "exact:same_pixels", "the same pixels", ("pixels",)),
        Method("phash", "duplicates", _DUPLICATES + "perceptual:phash", "edited copies", ("perceptual",)),
        Method("ahash", "duplicates", _DUPLICATES + "perceptual:ahash", "edited copies", ("perceptual",), False),
        Method("dhash", "duplicates", _DUPLICATES + "perceptual:dhash", "edited copies", ("perceptual",), False),
        Method("whash", "duplicates", _DUPLICATES + "perceptual:whash", "edited copies", ("perceptual",), False),
        Method("phash16", "duplicates", _DUPLICATES + "perceptual:phash16", "edited copies", _BITS_256, False),
        Method("ahash16", "duplicates", _DUPLICATES + "perceptual:ahash16", "edited copies", _BITS_256, False),
        Method("dhash16", "duplicates", _DUPLICATES + "perceptual:dhash16", "edited copies", _BITS_256, False),
        Method("whash16", "duplicates", _DUPLICATES + "perceptual:whash16", "edited copies", _BITS_256, False),
        Method("semantic", "duplicates", _DUPLICATES + "semantic:semantic", "the same content", ("embedding",)),
        Method(
            "kmeans", "strangers", _CONSISTENCY + "kmeans:kmeans", "small clusters, far from centroids", ("embedding",)
        ),
        Method("dbscan", "strangers", _CONSISTENCY + "dbscan:dbscan", "noise between clusters", ("embedding",), False),
        Method("knn", "strangers", _CONSISTENCY + "knn:knn", "photos without neighbours", ("embedding",)),
        Method(
            "wrong_label",
            "labels",
            _CONSISTENCY + "wrong_label:wrong_label",
            "photos nearer to another folder than to their own",
            ("embedding", "labels"),
        ),
        Method(
            "cloned_plate",
            "labels",
            _CONSISTENCY + "cloned_plate:cloned_plate",
            "folders that hold two vehicles",
            ("embedding", "labels"),
        ),
    )
}


def load_target(target: str) -> Callable[..., Any]:
    """The function behind "module:name"."""
    module, name = target.split(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def settings_of(name: str) -> dict[str, inspect.Parameter]:
    """Setting -> parameter (default and annotation) of a method."""
    parameters = inspect.signature(load_target(METHODS[name].target), eval_str=True).parameters
    return dict(list(parameters.items())[1:])


def chosen(names: Iterable[str]) -> list[Method]:
    """Methods by name, "default", "all" or a family's name, in the table's order, none twice.

    Raises UserError, with the nearest name.
    """
    wanted: set[str] = set()
    for name in names:
        if name in METHODS:
            wanted.add(name)
        elif name in FAMILIES or name in ("default", "all"):
            wanted |= {
                method.name
                for method in METHODS.values()
                if name in ("all", method.family) or (name == "default" and method.default)
            }
        else:
            hint = suggestion(name, [*METHODS, *FAMILIES, "default", "all"], "python clean.py methods lists them")
            raise UserError(f"--methods {name}: no such method; {hint}")
    return [method for method in METHODS.values() if method.name in wanted]
