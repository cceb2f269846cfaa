"""Make the folder of old artefacts, at the paths that they record: `python -m tests.compatibility.make_old_artefacts`.

It was run once, with the version that README.md names. What is made with another version is no old artefact.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from tests.compatibility.small_networks import SIDE, shrink

PROJECT = Path(__file__).resolve().parents[2]
HERE = Path("/data/old")  # the tests put their own folder in its place
CPU = ("--device", "cpu", "--precision", "fp32")
# Decides in the report page as a browser would: its own script, up to where it starts to draw.
PAGE = """
const fs = require("fs");
const page = fs.readFileSync("found/report.html", "utf8");
const text = /<script[^>]*id="data"[^>]*>([^]*?)<\\/script>/.exec(page)[1];
const state = /\\/\\/ The data of the run, and what people decided[^]*?addEventListener\\("pagehide"/.exec(page)[0];
const window = { getElementById: () => ({ textContent: text }), dispatchEvent: () => true };
const decided = `, store);
const place = (path) => photos.path.indexOf(path);
decide(place(KEPT), true);
decide(place(REMOVED), false);
refute([APART.map(place)], true);
store();
return JSON.stringify(exported(), null, 1);`;
const given = ["document", "localStorage", "addEventListener", "KEPT", "REMOVED", "APART"];
const browser = new Function(...given, state + decided);
fs.writeFileSync("decisions.json", browser(window, { setItem: () => {} }, () => {}, ...JSON.parse(process.argv[1])));
"""


def run(script: str, *arguments: str, code: int = 0) -> str:
    """A script as the command line runs it; returns what it printed."""
    printed, before = StringIO(), sys.argv
    sys.argv = [script, *arguments]
    try:
        with redirect_stdout(printed):
            runpy.run_path(str(PROJECT / script), run_name="__main__")
    except SystemExit as stop:
        assert (stop.code or 0) == code, (arguments, printed.getvalue())
    finally:
        sys.argv = before
    print(printed.getvalue())
    return printed.getvalue()


def make_photos() -> None:
    """Rendered vehicles, and four files that cleaning finds."""
    demo = ("--vehicles", "8", "--sightings", "3", "--cloned_plates", "1", "--size", "80")
    subprocess.run([sys.executable, "-m", "siamclip.demo", "--out", str(HERE / "demo"), *demo], cwd=PROJECT, check=True)
    shutil.move(HERE / "demo/vehicles", HERE / "photos")
    shutil.rmtree(HERE / "demo")
    photos = HERE / "photos"
    shutil.copy(photos / "云C99333/000.jpg", photos / "京K2J97J/copy.jpg")  # the same bytes, another identity
    again = Image.open(photos / "京JD79683/000.jpg")
    again.save(photos / "京JD79683/again.jpg", quality=60)
    again.filter(ImageFilter.GaussianBlur(3)).save(photos / "京JD79683/blurred.jpg")
    whole = (photos / "津C9JA15/001.jpg").read_bytes()
    (photos / "津C9JA15/torn.jpg").write_bytes(whole[:300])


def make_run_of_training() -> None:
    """Two epochs, of which a Ctrl-C after the first lets one be done."""
    replace, saved = Path.replace, []

    def then_interrupted(beside: Path, target: Path) -> Path:
        replace(beside, target)
        if target.match("last/metadata.json"):
            saved.append(target)
            if len(saved) == 2:  # the first one is that of the random weights
                raise KeyboardInterrupt
        return target

    settings = (
        "--data_dir", "photos", "--weights", "random", "--image_size", str(SIDE), "--num_epochs", "2",
        "--batch_size", "8", "--samples_per_class", "4", "--val_ratio", "0.3", "--test_ratio", "0.3",
        "--learning_rate", "3e-3", "--num_workers", "1", *CPU,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", then_interrupted)
        run("train.py", "--run_name", "old", *settings, code=130)
    shutil.copy("logs/old/config.yaml", "train.yaml")
    # What the same run comes to when nobody interrupts it.
    run("train.py", "--run_name", "whole", *settings)
    progress = json.loads(Path("checkpoints/whole/last/metadata.json").read_text("utf-8"))["progress"]
    Path("history.json").write_text(json.dumps(progress["history"], indent=1))
    shutil.rmtree("checkpoints/whole")


def make_runs_of_cleaning() -> None:
    methods = ("default", "strangers", "labels", "wrong_label", "cloned_plate", "dbscan")
    find = ("--methods", *methods, "--set", "wrong_label.deviations=2.5", "laplacian.threshold=40")
    for name in ("found", "applied"):
        run("clean.py", "scan", "photos", "--out", name, "--embedder", "old", "--processes", "1", *CPU)
        run("clean.py", "find", name, *find)
        run("clean.py", "report", name)
    shutil.copy("found/settings.yaml", "clean.yaml")
    kept, removed = "京JD79683/blurred.jpg", "粤EF36045/002.jpg"
    apart = ["京JD79683/000.jpg", "京JD79683/again.jpg"]
    subprocess.run(["node", "-e", PAGE, json.dumps([kept, removed, apart])], check=True)
    shutil.copytree("photos", "photos.whole")
    # The folder of another run, which takes in the decisions and moves nothing.
    shutil.copytree("found", "judged")
    run("clean.py", "apply", "judged", "--decisions", "decisions.json")
    shutil.move("judged/not_duplicates.json", "not_duplicates.json")
    shutil.rmtree("judged")
    run("clean.py", "apply", "applied", "--yes")
    shutil.rmtree("photos")
    shutil.move("photos.whole", "photos")
    for name in ("found", "applied"):
        Path(name, "report.html").unlink()


def make_augmented() -> None:
    run(
        "augment.py", "train-ddpm", "photos", "--out", "ddpm", "--num_steps", "4", "--batch_size", "4",
        "--warmup_steps", "1", "--sample_every", "0", "--train_timesteps", "50", "--num_workers", "1", *CPU,
    )  # fmt: skip
    run(
        "augment.py", "fuse", "--input_dir", "photos", "--output_dir", "fused", "--embedder", "old",
        "--diffusion", "ddpm", "--steps", "5", "--max_pairs", "6", "--fusion_modes", "linear", "layer_selective",
        "--set", "layer_selective.structure_weight=0.9", "--similarity_threshold", "0.5",
        "--similarity_ceiling", "0.99", "--gate_similarity", "-1", "--gate_sharpness", "0", "--sheet_rows", "0", *CPU,
    )  # fmt: skip
    shutil.rmtree(".siamclip_cache")


def make_answers() -> None:
    """What predict.py and evaluate.py say, and the embeddings that they remember."""
    pairs = [("京JD79683/000.jpg", "京JD79683/again.jpg"), ("京JD79683/000.jpg", "云C99333/001.jpg")]
    rows = "".join(f"photos/{one},photos/{other}\n" for one, other in pairs)
    Path("pairs.csv").write_text("img1,img2\n" + rows, encoding="utf-8")
    run("predict.py", "--checkpoint", "old", "--pairs", "pairs.csv", "--out", "answers.csv", "--num_workers", "1", *CPU)
    shutil.rmtree(".siamclip_cache")
    query = ("--query", "photos/京JD79683/000.jpg", "--folder", "photos", "--top_k", "4", "--json")
    printed = run("predict.py", "--checkpoint", "old", *query, "--embedding_cache", "embedding_cache", *CPU)
    Path("search.json").write_text(printed, encoding="utf-8")
    run(
        "evaluate.py", "--checkpoint", "old", "--data_dir", "photos", "--out", "evaluation",
        "--bootstrap_replicates", "20", *CPU,
    )  # fmt: skip
    shutil.move("evaluation/metrics.json", "metrics.json")


def main() -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    make_photos()
    os.chdir(HERE)
    with pytest.MonkeyPatch.context() as patched:
        shrink(patched)
        make_run_of_training()
        make_runs_of_cleaning()
        make_augmented()
        make_answers()
    for name in ("logs", "evaluation", "ddpm/logs"):  # of no use to a later version, and the largest
        shutil.rmtree(name)
    for lock in Path().rglob(".lock"):
        lock.unlink()


if __name__ == "__main__":
    main()
