"""The method tables of cleaning: the scorers of the scan, and the methods of find.

A method's settings are given as method.setting=value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from siamclip.methods import Method, MethodTable


@dataclass(frozen=True, kw_only=True)
class Scorer(Method):
    """An image scorer: `target(decoded) -> {column: value}`; runs in the scan.

    `columns`: name -> NumPy dtype of one entry ("f4", "u8", "(4,)u8", "U" for text, "S32" for a hash).
    `grey`: it reads `decoded.luma` and the header alone; a scan that only has such scorers decodes no colour.
    Raise `version` when the same photo gives other values than before: scans then compute them again.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    default: bool = True
    version: int = 1
    grey: bool = False


@dataclass(frozen=True, kw_only=True)
class CleaningMethod(Method):
    """A method: `target(photos, **settings) -> Findings | CopyPairs`; runs on the scanned table.

    `needs`: the scorers whose columns it reads; "embedding" and "labels" where it needs these.
    `orientations`: what its setting of that name reads, the scorer of a scan with orientations.
    `identical`: its pairs are one photo beyond doubt, and a copy of a copy is a copy.
    `evidence`: a pair's distance in words. `groups_copies`: False where a group of its findings is something else.
    """

    family: str
    default: bool = True
    requires: tuple[str, ...] = ()  # settings that have no default
    orientations: str = ""
    identical: bool = False
    evidence: str = "distance {:.4g}"
    groups_copies: bool = True

    @property
    def compares_photos(self) -> bool:
        """Whether it compares photos with each other; it runs after the methods that see one photo at a time."""
        return self.family in COMPARING_FAMILIES

    @property
    def semantic(self) -> bool:
        """Whether it compares what photos show, so that another photo of the same vehicle may be near."""
        return "embedding" in self.needs


FAMILIES = ("integrity", "size", "sharpness", "exposure", "iqa", "duplicates", "outliers", "labels")
COMPARING_FAMILIES = ("duplicates", "outliers", "labels")

_QUALITY = "siamclip.cleaning.quality."
_SHARPNESS = _QUALITY + "sharpness."
_DUPLICATES = "siamclip.cleaning.duplicates."
_CONSISTENCY = "siamclip.cleaning.consistency."
_HASHES = ("phash", "ahash", "dhash", "whash")
_OF_64, _OF_256 = "Hamming distance {:.0f} of 64", "Hamming distance {:.0f} of 256"
_BITS_256 = ("perceptual16", "perceptual")  # hash_contrast is the smaller hashes' column


def _of_family(family: str, row: CleaningMethod) -> bool:
    return row.family == family


SCORERS = MethodTable[Scorer](
    (
        Scorer(
            "file",
            _QUALITY + "integrity:describe",
            "the header: format, size, orientation",
            columns={
                "format": "U", "mode": "U", "width": "i4", "height": "i4", "frames": "i4", "orientation": "i1",
                "has_alpha": "?", "has_profile": "?", "bits": "i1",
            },
        ),
        Scorer("pixels", _DUPLICATES + "exact:pixel_hash", "a hash of the pixels", columns={"pixel_hash": "S32"}),
        Scorer(
            "perceptual",
            _DUPLICATES + "hashing.hashes:perceptual",
            "perceptual hashes of 64 bits",
            columns={**{f"{name}8": "u8" for name in _HASHES}, "hash_contrast": "f4"},
            grey=True,
        ),
        Scorer(
            "perceptual16",
            _DUPLICATES + "hashing.hashes:perceptual16",
            "perceptual hashes of 256 bits",
            columns={f"{name}16": "(4,)u8" for name in _HASHES},
        ),
        Scorer(
            "orientations",
            _DUPLICATES + "hashing.hashes:orientations",
            "perceptual hashes in eight orientations",
            columns={f"{name}8_oriented": "(8,)u8" for name in _HASHES},
            default=False,
            grey=True,
        ),
        Scorer(
            "laplacian",
            _SHARPNESS + "laplacian:laplacian_variance",
            "the variance of the Laplacian",
            columns={"laplacian_variance": "f8"},
        ),
        Scorer(
            "spectrum",
            _SHARPNESS + "spectrum:spectrum",
            "high frequencies of the spectrum",
            columns={"fft_ratio": "f8", "spectrum_entropy": "f8"},
        ),
        Scorer(
            "sobel",
            _SHARPNESS + "sobel:sobel_variance",
            "the variance of the gradient",
            columns={"sobel_variance": "f8"},
        ),
        Scorer(
            "edges",
            _SHARPNESS + "edges:edge_densities",
            "the share of pixels on an edge",
            columns={"canny_density": "f8", "roberts_density": "f8", "prewitt_density": "f8"},
        ),
        Scorer(
            "exposure",
            _QUALITY + "exposure:exposure",
            "the histogram of grey levels",
            columns={
                "dark_share": "f8", "bright_share": "f8", "mean_intensity": "f8", "contrast": "f8", "entropy": "f8",
            },
        ),
    )
)  # fmt: skip

METHODS = MethodTable[CleaningMethod](
    (
        CleaningMethod(
            "unreadable", _QUALITY + "integrity:unreadable", "empty, truncated or damaged files", family="integrity"
        ),
        CleaningMethod(
            "wrong_extension",
            _QUALITY + "integrity:wrong_extension",
            "a PNG called .jpg",
            ("file",),
            family="integrity",
        ),
        CleaningMethod(
            "animated", _QUALITY + "integrity:animated", "files with several frames", ("file",), family="integrity"
        ),
        CleaningMethod("alpha", _QUALITY + "integrity:alpha", "transparency", ("file",), family="integrity"),
        CleaningMethod(
            "colour_space", _QUALITY + "integrity:colour_space", "grey, CMYK, 16 bits", ("file",), family="integrity"
        ),
        CleaningMethod(
            "orientation",
            _QUALITY + "integrity:orientation",
            "stored turned or mirrored",
            ("file",),
            family="integrity",
        ),
        CleaningMethod("too_small", _QUALITY + "size:too_small", "fewer pixels than wanted", ("file",), family="size"),
        CleaningMethod("aspect_ratio", _QUALITY + "size:aspect_ratio", "strips and slivers", ("file",), family="size"),
        CleaningMethod(
            "object_area",
            _QUALITY + "object_area:object_area",
            "objects too small or too large",
            ("file",),
            family="size",
            default=False,
            requires=("boxes",),
        ),
        CleaningMethod("laplacian", _SHARPNESS + "laplacian:laplacian", "blur", ("laplacian",), family="sharpness"),
        CleaningMethod(
            "fft_ratio", _SHARPNESS + "spectrum:fft_ratio", "blur", ("spectrum",), family="sharpness", default=False
        ),
        CleaningMethod(
            "spectrum_entropy",
            _SHARPNESS + "spectrum:spectrum_entropy",
            "blur",
            ("spectrum",),
            family="sharpness",
            default=False,
        ),
        CleaningMethod("sobel", _SHARPNESS + "sobel:sobel", "blur", ("sobel",), family="sharpness", default=False),
        CleaningMethod("canny", _SHARPNESS + "edges:canny", "few edges", ("edges",), family="sharpness", default=False),
        CleaningMethod(
            "roberts", _SHARPNESS + "edges:roberts", "few edges", ("edges",), family="sharpness", default=False
        ),
        CleaningMethod(
            "prewitt", _SHARPNESS + "edges:prewitt", "few edges", ("edges",), family="sharpness", default=False
        ),
        CleaningMethod(
            "under_exposed", _QUALITY + "exposure:under_exposed", "large black parts", ("exposure",), family="exposure"
        ),
        CleaningMethod(
            "over_exposed", _QUALITY + "exposure:over_exposed", "large white parts", ("exposure",), family="exposure"
        ),
        CleaningMethod(
            "intensity", _QUALITY + "exposure:intensity", "dark or light as a whole", ("exposure",), family="exposure"
        ),
        CleaningMethod(
            "low_contrast", _QUALITY + "exposure:low_contrast", "flat, foggy", ("exposure",), family="exposure"
        ),
        CleaningMethod(
            "low_entropy",
            _QUALITY + "exposure:low_entropy",
            "few grey levels: blank",
            ("exposure",),
            family="exposure",
            default=False,
        ),
        CleaningMethod(
            "iqa",
            _QUALITY + "no_reference.iqa:iqa",
            "what a no-reference network or model dislikes",
            ("iqa",),
            family="iqa",
            default=False,
        ),
        CleaningMethod(
            "exact",
            _DUPLICATES + "exact:same_bytes",
            "the same bytes",
            family="duplicates",
            identical=True,
            evidence="the same bytes",
        ),
        CleaningMethod(
            "pixels",
            _DUPLICATES + "exact:same_pixels",
            "the same pixels",
            ("pixels",),
            family="duplicates",
            identical=True,
            evidence="the same pixels",
        ),
        CleaningMethod(
            "phash",
            _DUPLICATES + "perceptual:phash",
            "edited copies",
            ("perceptual",),
            family="duplicates",
            evidence=_OF_64,
            orientations="orientations",
        ),
        CleaningMethod(
            "ahash",
            _DUPLICATES + "perceptual:ahash",
            "edited copies",
            ("perceptual",),
            family="duplicates",
            default=False,
            evidence=_OF_64,
            orientations="orientations",
        ),
        CleaningMethod(
            "dhash",
            _DUPLICATES + "perceptual:dhash",
            "edited copies",
            ("perceptual",),
            family="duplicates",
            default=False,
            evidence=_OF_64,
            orientations="orientations",
        ),
        CleaningMethod(
            "whash",
            _DUPLICATES + "perceptual:whash",
            "edited copies",
            ("perceptual",),
            family="duplicates",
            default=False,
            evidence=_OF_64,
            orientations="orientations",
        ),
        CleaningMethod(
            "phash16",
            _DUPLICATES + "perceptual:phash16",
            "edited copies",
            _BITS_256,
            family="duplicates",
            default=False,
            evidence=_OF_256,
        ),
        CleaningMethod(
            "ahash16",
            _DUPLICATES + "perceptual:ahash16",
            "edited copies",
            _BITS_256,
            family="duplicates",
            default=False,
            evidence=_OF_256,
        ),
        CleaningMethod(
            "dhash16",
            _DUPLICATES + "perceptual:dhash16",
            "edited copies",
            _BITS_256,
            family="duplicates",
            default=False,
            evidence=_OF_256,
        ),
        CleaningMethod(
            "whash16",
            _DUPLICATES + "perceptual:whash16",
            "edited copies",
            _BITS_256,
            family="duplicates",
            default=False,
            evidence=_OF_256,
        ),
        CleaningMethod(
            "semantic",
            _DUPLICATES + "semantic:semantic",
            "the same content",
            ("embedding",),
            family="duplicates",
            evidence="embedding distance {:.3f}",
        ),
        CleaningMethod(
            "kmeans",
            _CONSISTENCY + "kmeans:kmeans",
            "small clusters, far from centroids",
            ("embedding",),
            family="outliers",
        ),
        CleaningMethod(
            "dbscan",
            _CONSISTENCY + "dbscan:dbscan",
            "noise between clusters",
            ("embedding",),
            family="outliers",
            default=False,
        ),
        CleaningMethod("knn", _CONSISTENCY + "knn:knn", "photos without neighbours", ("embedding",), family="outliers"),
        CleaningMethod(
            "label_errors",
            _CONSISTENCY + "label_errors:label_errors",
            "photos nearer to another folder than to their own",
            ("embedding", "labels"),
            family="labels",
            aliases=("wrong_label",),
        ),
        CleaningMethod(
            "cloned_plate",
            _CONSISTENCY + "cloned_plate:cloned_plate",
            "folders that hold two vehicles",
            ("embedding", "labels"),
            family="labels",
            groups_copies=False,  # but the two halves of a folder
        ),
    ),
    example="laplacian.threshold=80",
    groups={
        **{family: partial(_of_family, family) for family in FAMILIES},
        "default": lambda row: row.default,
        "all": lambda row: True,
    },
    group_aliases={"strangers": "outliers"},
    listing="python clean.py methods lists them",
)

# For all hashes that can look for turned and mirrored copies, in a scan with orientations.
ORIENTATION_SETTINGS = tuple(f"{method.name}.orientations=true" for method in METHODS.values() if method.orientations)
