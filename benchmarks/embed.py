"""JPEG files to vectors with ViT-B/32: ours against sentence-transformers on the same files, on the CPU.

python benchmarks/embed.py                      # renders 1260 x 840 JPEGs into a temporary folder
python benchmarks/embed.py --photos FOLDER      # measures on the photos below FOLDER

Random weights: speed does not depend on them. sentence-transformers gets a CLIP of the same size built here.
Each side runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from siamclip.data.image.decode import IMAGE_EXTENSIONS
from siamclip.errors import UserError, exit_on_user_error

WARM_UP = 16  # photos before the clock starts: threads, allocations and kernels are then there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photos instead of rendered ones")
    parser.add_argument(
        "--number", type=int, default=200, help="photos of the larger run; memory is compared with a quarter"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that each side is measured")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4, help="threads that decode")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--weights", default="random", help="of ViT-B/32, for the cosines: a local file, or random")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        files = [Path(line) for line in json.loads(arguments.files.read_text(encoding="utf-8"))]
        print(json.dumps(SIDES[arguments.side](files, arguments)))
        return

    from benchmarks.machine import machine

    with tempfile.TemporaryDirectory() as folder:
        files = _files(arguments.photos, Path(folder), arguments.number)
        print(machine())
        small = _apart("ours", files[: len(files) // 4], folder, arguments)
        # In turns, and the best of each: whatever else the machine does meanwhile disturbs both.
        rounds = [
            [_apart(side, files, folder, arguments) for side in ("ours", "theirs")] for _ in range(arguments.rounds)
        ]
        ours, theirs = (max(found, key=lambda one: one["rate"]) for found in zip(*rounds, strict=True))
        agreement = _apart("agreement", files[:64], folder, arguments)
    print(
        f"peak memory of ours: {small['peak_mb']:.0f} MB for {len(files) // 4} files, "
        f"{ours['peak_mb']:.0f} MB for {len(files)}"
    )
    for model, cosine in agreement.items():
        print(
            f"{model}, cosine to fp32 of full decoding: lowest {cosine['lowest']:.5f}, mean {cosine['mean']:.5f}; "
            f"of different photos {cosine['others']:.3f}"
        )
    print(
        f"embed: ours {ours['rate']:.1f} images/s in {ours['precision']}, sentence-transformers {theirs['rate']:.1f} "
        f"in fp32: {ours['rate'] / theirs['rate']:.1f} times as fast"
    )


def _files(photos: Path | None, folder: Path, number: int) -> list[Path]:
    from benchmarks.photos import render_photos

    if photos is None:
        return render_photos(folder / "photos", number)
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_EXTENSIONS)[:number]
    if len(files) < 8:
        raise UserError(f"--photos {photos}: holds {len(files)} photos; give a folder with 8 or more")
    return files


def _apart(side: str, files: list[Path], folder: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The answer of one side, run in a new process."""
    listing = Path(folder) / "files.json"
    listing.write_text(json.dumps([str(file) for file in files]), encoding="utf-8")
    flags = [("side", side), ("files", listing)]
    flags += [(name, getattr(arguments, name)) for name in ("batch_size", "workers", "precision", "weights")]
    command = [sys.executable, __file__, *(text for name, value in flags for text in (f"--{name}", str(value)))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{side}: the measurement failed; what went wrong stands above")
    return json.loads(done.stdout.splitlines()[-1])


def _measured(embed: Any, files: list[Path]) -> dict[str, float]:
    embed(files[:WARM_UP])
    started = time.perf_counter()
    embed(files)
    rate = len(files) / (time.perf_counter() - started)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {"rate": rate, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}


def ours(files: list[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    from siamclip.embedding.embedder import Embedder
    from siamclip.models.encoder import create

    encoder = create("ViT-B/32", "random")
    embedder = Embedder(encoder, None, "cpu", arguments.precision, arguments.batch_size, arguments.workers)
    precision = "fp32" if embedder.precision is None else str(embedder.precision).removeprefix("torch.")
    return _measured(embedder.embed_files, files) | {"precision": precision}


def theirs(files: list[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Paths are given, as its documentation does with images: it opens and preprocesses each."""
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import CLIPModel
    except ImportError:
        raise UserError("sentence-transformers is missing; run pip install -r requirements-extras.txt") from None
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        _save_random_clip(Path(folder))
        model = SentenceTransformer(modules=[CLIPModel(folder)], device="cpu")

    def embed(part: list[Path]) -> None:
        for i in range(0, len(part), arguments.batch_size):  # all at once would hold every decoded photo in memory
            images = [Image.open(path) for path in part[i : i + arguments.batch_size]]
            model.encode(images, batch_size=arguments.batch_size, show_progress_bar=False)

    return _measured(embed, files)


def _save_random_clip(folder: Path) -> None:
    """ViT-B/32 with random weights, and a processor with a vocabulary of letters: no text is encoded here."""
    import transformers

    transformers.CLIPModel(transformers.CLIPConfig()).save_pretrained(folder)
    words = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    transformers.CLIPProcessor(transformers.CLIPImageProcessor(), tokenizer).save_pretrained(folder)


def agreement(files: list[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Cosines between what is timed and fp32 on fully decoded photos, with the same weights; by model.

    A random ViT gives all photos nearly one vector, so EfficientNet with its ImageNet weights shows what decoding
    at a reduced scale costs; "others" is the mean cosine of different photos, the scale to read the rest by.
    """
    import torch

    from siamclip.embedding.embedder import Embedder
    from siamclip.metrics.collapse import mean_random_cosine
    from siamclip.models.encoder import create

    found = {}
    for model, weights in (("ViT-B/32", arguments.weights), ("efficientnet-lite0", None)):
        vectors = []
        for precision, reduced in ((arguments.precision, True), ("fp32", False)):
            torch.manual_seed(0)
            encoder = create(model, weights, reduced_decode=reduced)
            rows, failures = Embedder(encoder, None, "cpu", precision).embed_files(files)
            vectors.append(rows[[i for i in range(len(files)) if i not in failures]])
        cosines = (vectors[0] * vectors[1]).sum(axis=1)
        others = mean_random_cosine(vectors[1], seed=0)
        found[model] = {"lowest": float(cosines.min()), "mean": float(cosines.mean()), "others": others}
    return found


SIDES = {"ours": ours, "theirs": theirs, "agreement": agreement}


if __name__ == "__main__":
    with exit_on_user_error():
        main()
