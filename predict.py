"""Do two photos show the same vehicle?

python predict.py --img1 a.jpg --img2 b.jpg                            two photos
python predict.py --pairs pairs.csv --out results.csv                  many pairs
python predict.py --query a.jpg --folder photos --top_k 5              the photos of a folder that are most alike

from predict import ImageSimilarityPredictor
is_same, distance, confidence = ImageSimilarityPredictor().predict("a.jpg", "b.jpg")
"""

from __future__ import annotations

import csv
import heapq
import inspect
import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np

from config import UNCALIBRATED_THRESHOLD, PredictConfig, TrainConfig, load
from siamclip.cli.setting_ranges import check
from siamclip.data.image.decode import IMAGE_EXTENSIONS, decode, probe
from siamclip.data.walk import photos_below
from siamclip.device import reuse_large_buffers
from siamclip.errors import ImageError, UserError, exit_on_user_error, printable
from siamclip.files.atomic import replacing
from siamclip.prediction.decision import Comparison, DecisionRule
from siamclip.prediction.formatting import (
    answer_fields,
    as_json,
    basis_fields,
    basis_lines,
    pair_lines,
    percent,
    progress,
    row_line,
)
from siamclip.prediction.pair_table import PairTable

if TYPE_CHECKING:
    from siamclip.embedding.embedder import Embedder, Photo
    from siamclip.embedding.store import EmbeddingStore
    from siamclip.models.encoder import SiameseEncoder

LISTED = 20  # pairs of a CSV that are printed as well as written
BLOCK = 1024  # photos between two saves of their embeddings, and rows of a CSV in memory at once


class Prediction(NamedTuple):
    """A `Comparison` without its distance."""

    is_same: bool
    confidence: float


class SimilarPhoto(NamedTuple):
    """`probability` is that of showing the same vehicle as the query, in [0, 1]; nan without a calibration."""

    path: Path
    distance: float
    probability: float


class Search(NamedTuple):
    """The nearest photos, nearest first, and the reason for each candidate that cannot be read."""

    nearest: list[SimilarPhoto]
    unreadable: dict[Path, str]


class ImageSimilarityPredictor:
    """Compares photos: paths, encoded bytes, PIL images or arrays (RGB, not OpenCV's BGR; see `image.to_rgb`).

    `checkpoint`: "newest" below `checkpoint_dir`, the name or folder of a run or of one of its checkpoints, or
    "none" for a pretrained `model` (by default ViT-B/32) with its published `weights`, a file of them, or
    "random". Two photos are the same at distances <= `threshold`: by default the one that validation chose for
    the checkpoint, and UNCALIBRATED_THRESHOLD without one. `embedding_cache` (None: off) is the folder that
    remembers embeddings of searched photos by their content.

    Raises UserError for settings, checkpoints and weights that cannot be used. Not for several threads at once.
    """

    def __init__(  # noqa: PLR0913 - the public interface: settings by name
        self,
        checkpoint: str | os.PathLike[str] = PredictConfig.checkpoint,
        model: str | None = None,
        weights: str | None = None,
        threshold: float | None = None,
        device: str = PredictConfig.device,
        precision: Literal["auto", "fp32", "bf16", "fp16"] = PredictConfig.precision,
        checkpoint_dir: str | os.PathLike[str] = PredictConfig.checkpoint_dir,
        doubt_below: float = PredictConfig.doubt_below,
        batch_size: int = PredictConfig.batch_size,
        num_workers: int = PredictConfig.num_workers,
        embedding_cache: str | os.PathLike[str] | None = PredictConfig.embedding_cache,
    ) -> None:
        check(PredictConfig(threshold=threshold, doubt_below=doubt_below))
        check(PredictConfig(batch_size=batch_size, num_workers=num_workers))
        from siamclip.embedding.embedder import Embedder

        name = os.fspath(checkpoint)
        if name == "none":
            from siamclip.models.encoder import create

            if threshold is None:
                self.rule = DecisionRule(UNCALIBRATED_THRESHOLD, "fixed, not chosen on any data", None, doubt_below)
            else:
                self.rule = DecisionRule(threshold, "as given", None, doubt_below)
            run, encoder = None, create(model or TrainConfig.model, weights)
        else:
            if model is not None or weights is not None:
                setting = "weights" if model is None else "model"
                raise UserError(setting, "a checkpoint brings its own", "leave it out, or add `checkpoint` none")
            encoder, metadata = _load_checkpoint(name, Path(checkpoint_dir))
            self.rule = DecisionRule.from_checkpoint(metadata, threshold, doubt_below)
            run = metadata.get("run")
        self.embedder: Embedder = Embedder(encoder, run, device, precision, batch_size=batch_size, workers=num_workers)
        self._cache_folder = None if embedding_cache is None else Path(embedding_cache)

    # -- two photos, many pairs -----------------------------------------------------------------------------

    @overload
    def predict(self, image1: Photo, image2: Photo, return_distance: Literal[True] = True) -> Comparison: ...
    @overload
    def predict(self, image1: Photo, image2: Photo, return_distance: Literal[False]) -> Prediction: ...
    def predict(self, image1: Photo, image2: Photo, return_distance: bool = True) -> Comparison | Prediction:
        """`(is_same, distance, confidence)`, or `(is_same, confidence)`. Raises ImageError for an unreadable photo."""
        comparison = self.predict_batch([(image1, image2)])[0]
        return comparison if return_distance else Prediction(comparison.is_same, comparison.confidence)

    def predict_batch(self, pairs: Iterable[tuple[Photo, Photo]]) -> list[Comparison]:
        """One `(is_same, distance, confidence)` a pair; photos with the same content are encoded once.

        Raises ImageError for the first photo that cannot be read; `try_pairs` goes on.
        """
        comparisons = []
        for result in self.try_pairs(pairs):
            if isinstance(result, ImageError):
                raise result
            comparisons.append(result)
        return comparisons

    def try_pairs(
        self, pairs: Iterable[tuple[Photo, Photo]], store: EmbeddingStore | None = None
    ) -> list[Comparison | ImageError]:
        """As `predict_batch`, with the error in the place of a pair that has an unreadable photo."""
        photos = [photo for pair in pairs for photo in pair]
        vectors, failures = _embed(self.embedder, photos, self._new_store(None) if store is None else store)
        distances = np.linalg.norm(vectors[0::2] - vectors[1::2], axis=1)
        results: list[Comparison | ImageError] = []
        for i, distance in enumerate(distances.tolist()):
            failure = failures.get(2 * i) or failures.get(2 * i + 1)
            results.append(failure or self.rule.compare(distance))
        return results

    # -- one photo among many -------------------------------------------------------------------------------

    def find_similar_images(
        self, query_image_path: Photo, candidate_folder: str | os.PathLike[str], top_k: int = PredictConfig.top_k
    ) -> list[SimilarPhoto]:
        """The `top_k` nearest photos below a folder, nearest first, as `(path, distance, probability)`.

        The query is a candidate like any other if it lies in the folder. Candidates that cannot be read are left
        out with a warning. Raises ImageError for the query, UserError for a folder without a readable photo.
        """
        result = self.search(query_image_path, candidates_in(Path(candidate_folder)), top_k)
        for path, reason in result.unreadable.items():
            logging.getLogger(__name__).warning("%s: left out (%s)", printable(str(path)), reason)
        return result.nearest

    def search(
        self,
        query: Photo,
        candidates: Sequence[Path],
        top_k: int = PredictConfig.top_k,
        advance: Callable[[int], Any] = lambda done: None,
    ) -> Search:
        """The `top_k` candidates nearest to the query; equally near ones in the order given.

        Memory holds a block of embeddings at a time; without an `embedding_cache`, all of them, so that the next
        search has them. `advance` is called with the number of candidates done since its last call.
        Raises ImageError for the query, UserError if no candidate can be read.
        """
        check(PredictConfig(top_k=top_k))
        query_vectors, failures = _embed(self.embedder, [query], self.store)
        if failures:
            raise failures[0]
        unreadable: dict[Path, str] = {}

        def distances() -> Iterator[tuple[float, int]]:
            for start in range(0, len(candidates), BLOCK):
                block = candidates[start : start + BLOCK]
                vectors, failures = _embed(self.embedder, block, self.store)
                unreadable.update({block[i]: failures[i].reason for i in sorted(failures)})
                to_query = np.linalg.norm(vectors - query_vectors, axis=1).tolist()
                yield from ((d, start + i) for i, d in enumerate(to_query) if i not in failures)
                advance(len(block))

        nearest = heapq.nsmallest(top_k, distances())
        if not nearest:
            reason = next(iter(unreadable.values()), "there is none")
            raise UserError("folder", f"none of {len(candidates)} photos can be read (the first: {reason})")
        return Search([SimilarPhoto(candidates[i], d, self.rule.probability_same(d)) for d, i in nearest], unreadable)

    # -- embeddings -----------------------------------------------------------------------------------------

    @cached_property
    def store(self) -> EmbeddingStore:
        """The embeddings of photos that were searched before."""
        return self._new_store(self._cache_folder)

    def _new_store(self, folder: Path | None) -> EmbeddingStore:
        from siamclip.embedding.store import EmbeddingStore

        return EmbeddingStore(folder, self.embedder.fingerprint, self.embedder.dimension)


def _embed(
    embedder: Embedder, photos: Sequence[Photo], store: EmbeddingStore
) -> tuple[np.ndarray, dict[int, ImageError]]:
    from siamclip.embedding.unique_photos import embed_unique

    return embed_unique(embedder, photos, store)


def _load_checkpoint(name: str, root: Path) -> tuple[SiameseEncoder, dict[str, Any]]:
    from siamclip.models.checkpoint import find, load_encoder

    try:
        folder = find(name, root)
    except UserError as error:
        remedy = "; ".join(filter(None, (error.remedy, "or `checkpoint` none for the pretrained model as it is")))
        raise UserError(error.setting, error.problem, remedy, error.value) from None
    return load_encoder(folder)


def candidates_in(folder: Path) -> list[Path]:
    """The photos to search. Raises UserError for a missing folder or one without any."""
    try:
        found = photos_below(folder)
    except OSError as error:
        raise UserError("folder", f"cannot be searched ({error.strerror})", value=error.filename) from None
    if not found:
        raise UserError("folder", f"holds no photo ({', '.join(sorted(IMAGE_EXTENSIONS))})", value=folder)
    return found


# -- the command line ---------------------------------------------------------------------------------------------

MODES = {"pair": ("img1", "img2"), "table": ("pairs", "out"), "search": ("query", "folder")}


@exit_on_user_error()
def main(argv: Sequence[str] | None = None) -> None:
    config = load(PredictConfig, argv, "Do two photos show the same vehicle?")
    for stream in (sys.stdout, sys.stderr):  # names may hold what the terminal's encoding, or none, can express
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8" if config.json else None, errors="backslashreplace")
    reuse_large_buffers()
    {"pair": compare_two, "table": answer_table, "search": search_folder}[chosen_mode(config)](config)


def chosen_mode(config: PredictConfig) -> str:
    """The one of MODES whose flags are given. Raises UserError for none, several or half of one."""
    begun = [mode for mode, flags in MODES.items() if any(getattr(config, flag) is not None for flag in flags)]
    if len(begun) != 1:
        raise UserError(
            "",
            "give exactly one of: `img1` A `img2` B (two photos), `pairs` IN.csv `out` OUT.csv (many pairs), "
            "`query` A `folder` F (the photos most like one)",
        )
    mode = begun[0]
    for flag in MODES[mode]:
        if getattr(config, flag) is None:
            raise UserError(flag, "is missing", f"give both `{'` and `'.join(MODES[mode])}`")
    if config.figure is not None:
        if mode != "pair":
            raise UserError("figure", "draws two photos", "give it with `img1` and `img2`")
        _check_target("figure", Path(config.figure))
    return mode


def open_predictor(config: PredictConfig) -> ImageSimilarityPredictor:
    parameters = inspect.signature(ImageSimilarityPredictor).parameters
    return ImageSimilarityPredictor(**{name: getattr(config, name) for name in parameters})


def compare_two(config: PredictConfig) -> None:
    """--img1 --img2: one answer, and on request a figure."""
    image1, image2 = str(config.img1), str(config.img2)
    for image in (image1, image2):
        probe(image)  # an error now, not after seconds of loading a network
    predictor = open_predictor(config)
    rule, model = predictor.rule, predictor.embedder.name
    comparison = predictor.predict(image1, image2)
    if config.json:
        fields = answer_fields(rule, comparison) | basis_fields(rule, model)
        print(as_json({"img1": image1, "img2": image2} | fields))
    else:
        print(pair_lines(rule, comparison), basis_lines(rule, model), sep="\n")
    if config.figure is not None:
        from siamclip.prediction.figure import comparison_figure

        title = f"{rule.answer(comparison)}: distance {comparison.distance:.3f}, threshold {rule.threshold:.3f}"
        names = (Path(image1).name, Path(image2).name)
        comparison_figure(decode(image1, 512), decode(image2, 512), title, Path(config.figure), names)


def answer_table(config: PredictConfig) -> None:
    """--pairs --out: the CSV's rows with the columns answer, is_same, distance, confidence and error."""
    table, out = PairTable(Path(str(config.pairs))), Path(str(config.out))
    _check_target("out", out)
    if out.exists() and out.samefile(table.path):
        raise UserError("out", "is the same file as `pairs`", "give another name", out)
    predictor = open_predictor(config)
    rule, model = predictor.rule, predictor.embedder.name
    counts: Counter[str] = Counter()
    unanswered = dict.fromkeys(("answer", "is_same", "distance", "confidence", "error"))
    with replacing(out, "out") as file, progress("pairs", table.total) as advance:
        writer = csv.DictWriter(file, list(dict.fromkeys((*table.columns, *unanswered))), lineterminator="\n")
        writer.writeheader()
        rows = table.rows()
        while block := list(islice(rows, BLOCK)):
            pairs = [table.photos(row) for row in block]
            compared = iter(predictor.try_pairs([p for p in pairs if not isinstance(p, ImageError)], predictor.store))
            for row, pair in zip(block, pairs, strict=True):
                outcome = pair if isinstance(pair, ImageError) else next(compared)
                if isinstance(outcome, ImageError):
                    fields: dict[str, Any] = {"answer": None, "error": str(outcome)}
                else:
                    fields = answer_fields(rule, outcome)
                counts[fields["answer"] or "unreadable"] += 1
                writer.writerow(row | unanswered | fields)
                if table.total <= LISTED and not config.json:
                    print(row_line(row, fields))
            advance(len(block))
    if config.json:
        print(as_json({"pairs": table.total, "counts": counts, "out": str(out)} | basis_fields(rule, model)))
    else:
        print(f"{printable(str(out))}: " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
        print(basis_lines(rule, model))


def search_folder(config: PredictConfig) -> None:
    """--query --folder: the nearest photos, and those that cannot be read."""
    query, candidates = str(config.query), candidates_in(Path(str(config.folder)))
    probe(query)
    predictor = open_predictor(config)
    rule, model = predictor.rule, predictor.embedder.name
    with progress("photos", len(candidates)) as advance:
        found = predictor.search(query, candidates, config.top_k, advance)
    ranked = [(rank, photo.path, rule.compare(photo.distance)) for rank, photo in enumerate(found.nearest, 1)]
    if config.json:
        nearest = [{"rank": n, "path": str(path)} | answer_fields(rule, comparison) for n, path, comparison in ranked]
        unreadable = [{"path": str(path), "reason": reason} for path, reason in found.unreadable.items()]
        content = {"query": query, "candidates": len(candidates), "nearest": nearest, "unreadable": unreadable}
        print(as_json(content | basis_fields(rule, model)))
        return
    print("rank  distance  confidence      answer              path")
    for rank, path, comparison in ranked:
        cells = f"{percent(comparison.confidence):14}  {rule.answer(comparison):18}  {printable(str(path))}"
        print(f"{rank:4}  {comparison.distance:8.4f}  {cells}")
    print(basis_lines(rule, model))
    if found.unreadable:
        print(f"{len(found.unreadable)} of {len(candidates)} photos cannot be read:", file=sys.stderr)
        for path, reason in found.unreadable.items():
            print(f"  {printable(str(path))}: {printable(reason)}", file=sys.stderr)


def _check_target(setting: str, path: Path) -> None:
    if path.is_dir():
        raise UserError(setting, "is a folder", "give the name of a file", path)
    if not path.parent.is_dir():
        raise UserError(setting, f"there is no folder {path.parent}", "create it first", path)


if __name__ == "__main__":
    main()
