"""Reading one file while the world moves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.method_table import SCORERS
from siamclip.cleaning.scan import pool as worker_pool
from siamclip.cleaning.scan import worker as scan_worker
from siamclip.cleaning.scan.scan import image_scorers
from siamclip.cleaning.scan.table.records import ImageScorer
from siamclip.cleaning.scan.worker import Scoring, Setup, Task, TaskResult
from siamclip.data.image.decode import content_hash, decode_luma_with_header, decode_with_header
from siamclip.methods import load_target
from tests.cleaning.tiny_scorers import KINDS, MEAN
from tests.hostile import encoded, smooth_rgb


def scored(root: Path, *names: str, scorers: tuple[ImageScorer, ...] = ()) -> TaskResult:
    setup = Setup(os.fsencode(root), scorers, None, np.zeros(0, "S32"))
    paths = [os.fsencode(name) for name in names]
    return Scoring(setup).run(Task(np.arange(len(paths)), paths, tuple(range(len(scorers))), False))


def test_what_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file.jpg").write_bytes(encoded(smooth_rgb(), "JPEG"))
    (tmp_path / "link.jpg").symlink_to("file.jpg")
    names = ["gone.jpg", "folder.jpg", "link.jpg", "x" * 300]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")  # it took a photo's place since the walk, and nobody writes to it
        names.append("pipe.jpg")
    result = scored(tmp_path, *names)
    assert result.file_errors[:2] == ["vanished during the scan", "not a regular file"]
    assert result.file_errors[2:4] == ["was replaced by a link", "File name too long"]
    assert result.file_errors[4:] in ([], ["not a regular file"])
    assert (result.files["content"] == b"").all() and len(result.decoded) == 0


def test_permission_denied_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: bytes, flags: int) -> int:  # rights do not bind the superuser that tests may run as
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refusing)
    assert scored(tmp_path, "a.jpg").file_errors == ["Permission denied"]


@pytest.mark.parametrize(("writes", "error"), [(1, ""), (2, "was changed while it was read")])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, error: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(smooth_rgb(), "PNG"))
    hashed = scan_worker.xxhash.xxh3_128_hexdigest
    written = []

    def meanwhile(data: bytes) -> str:
        if len(written) < writes:
            written.append(1)
            path.write_bytes(encoded(smooth_rgb(30 + len(written), 20), "PNG"))
        return hashed(data)

    monkeypatch.setattr(scan_worker.xxhash, "xxh3_128_hexdigest", meanwhile)
    result = scored(tmp_path, "a.png")
    monkeypatch.undo()
    assert result.file_errors == [error]
    assert result.files["content"][0] == (b"" if error else content_hash(path).encode())
    assert len(result.decoded) == (0 if error else 1)


def test_a_file_too_large_for_memory_is_read_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(smooth_rgb(), "PNG"))
    mean = ImageScorer(MEAN.name, "1", MEAN.columns, MEAN.target)
    whole = scored(tmp_path, "a.png", scorers=(mean,))
    monkeypatch.setattr(scan_worker, "_IN_MEMORY_BYTES", 10)
    streamed = scored(tmp_path, "a.png", scorers=(mean,))
    assert streamed.files.tobytes() == whole.files.tobytes() and whole.files["content"][0] != b""
    assert streamed.columns["mean"] == whole.columns["mean"] == smooth_rgb().mean()


def test_a_scorer_that_breaks_its_contract_fails_on_the_file_and_not_on_its_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(smooth_rgb(), "PNG"))

    def other_columns(decoded: Decoded) -> dict[str, float]:
        return {"unexpected": 1.0}

    def too_large(decoded: Decoded) -> dict[str, int]:
        return {"byte": 1000}

    scorers = (
        ImageScorer("other", "1", {"expected": "f4"}, call=other_columns),
        ImageScorer("large", "1", {"byte": "i1"}, call=too_large),
        ImageScorer(KINDS.name, "1", KINDS.columns, KINDS.target),
    )
    result = scored(tmp_path, "a.png", scorers=scorers)
    assert result.failed == [["other", "large"]]
    assert result.errors[0].startswith("other failed: ValueError: it gives ['unexpected']")
    assert "; large failed: OverflowError" in result.errors[0]
    assert np.isnan(result.columns["expected"]).all() and result.columns["byte"] == 0
    assert result.columns["name"] == ["PNG"] and result.columns["width"] == smooth_rgb().shape[1]


def luma_sum(decoded: Decoded) -> dict[str, int]:
    return {"luma": int(decoded.luma.sum())}


def red_sum(decoded: Decoded) -> dict[str, int]:
    return {"red": int(decoded.rgb[:, :, 0].sum())}


GREY = ImageScorer("luma", "1", {"luma": "i8"}, call=luma_sum, grey=True)
COLOUR = ImageScorer("red", "1", {"red": "i8"}, call=red_sum)


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A large JPEG, whose stored luma and that of its colours have different sums."""
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    path = tmp_path / "noise.jpg"
    path.write_bytes(encoded(noise, "JPEG"))
    return path


def test_colour_is_decoded_only_where_something_asks_for_it(noisy: Path) -> None:
    stored = decode_luma_with_header(noisy)[0].sum()
    converted = Decoded(*decode_with_header(noisy)).luma.sum()
    assert stored != converted

    def luma(scorers: tuple[ImageScorer, ...], asked: tuple[int, ...], pixels: bool = False) -> int:
        fitting = SimpleNamespace(fit=lambda rgb: rgb[:2, :2], reduced_decode=False)
        setup = Setup(os.fsencode(noisy.parent), scorers, fitting, np.zeros(0, "S32"))  # type: ignore[arg-type]
        result = Scoring(setup).run(Task(np.arange(1), [os.fsencode(noisy.name)], asked, pixels))
        assert result.errors == [""] and result.fit_errors == [""] and result.fitted[0] == pixels
        return int(result.columns["luma"][0])

    assert luma((GREY,), (0,)) == stored
    assert luma((GREY, COLOUR), (0,)) == stored  # a photo that has the other's values from before
    assert luma((GREY, COLOUR), (0, 1)) == converted
    assert luma((GREY,), (0,), pixels=True) == converted  # an embedder sees colours


def test_a_scorer_that_says_grey_and_is_not(noisy: Path) -> None:
    wrong = ImageScorer("red", "1", {"red": "i8"}, call=red_sum, grey=True)
    result = scored(noisy.parent, noisy.name, scorers=(GREY, wrong))
    assert result.failed == [["red"]] and "decoded without colour" in result.errors[0]


def test_the_catalogue_says_of_every_scorer_whether_it_is_grey(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(smooth_rgb(700, 700), "JPEG"))
    for scorer, name in zip(image_scorers(tuple(SCORERS), {}), SCORERS, strict=True):
        assert scorer.grey == SCORERS[name].grey
        decoded = Decoded(*decode_luma_with_header(path))
        if scorer.grey:
            assert load_target(scorer.target)(decoded).keys() == scorer.columns.keys()
    assert {name for name, scorer in SCORERS.items() if scorer.grey} == {"perceptual", "orientations"}


def environment(decoded: Decoded) -> dict[str, str]:
    return {"environment": " ".join(os.environ.get(name, "") for name in worker_pool._ENVIRONMENT)}


def test_the_environment_of_a_worker_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.jpg").write_bytes(encoded(smooth_rgb(), "JPEG"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    before = dict(os.environ)
    scorer = ImageScorer("environment", "1", {"environment": "U"}, f"{__name__}:environment")
    setup = Setup(os.fsencode(tmp_path), (scorer,), None, np.zeros(0, "S32"))
    with worker_pool.WorkerPool(setup, 1) as pool:
        ((_, result),) = pool.results([Task(np.arange(1), [b"photo.jpg"], (0,), False)])
    assert isinstance(result, TaskResult) and result.errors == [""]
    assert result.columns["environment"][0] == " ".join(worker_pool._ENVIRONMENT.values())
    assert dict(os.environ) == before


def test_a_worker_imports_no_more_than_its_scorers_need() -> None:
    code = """if True:
        import sys
        import numpy as np
        from siamclip.cleaning.scan.scan import image_scorers
        from siamclip.cleaning.scan.worker import Scoring, Setup
        def imported(*names):
            Scoring(Setup(b".", image_scorers(names, {}), None, np.zeros(0, "S32")))
            heavy = {"torch", "pyarrow", "pandas", "sklearn", "faiss", "matplotlib", "numba", "scipy"}
            return sorted(heavy & sys.modules.keys())

        print(imported("file", "pixels", "laplacian", "exposure"), imported("perceptual"))
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    assert done.stdout == "[] ['numba', 'scipy']\n"  # Numba imports the other
