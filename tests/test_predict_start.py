"""What a prediction loads before it answers: little, for imports are most of the time that a comparison takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from siamclip.models.checkpoint import save
from siamclip.models.encoder import create

ROOT = Path(__file__).parents[1]


def test_help_needs_no_network_library() -> None:
    heavy = "{'torch', 'open_clip', 'sklearn', 'scipy', 'matplotlib', 'cv2'}"
    code = f"import sys, predict\ntry: predict.main(['--help'])\nfinally: print({heavy} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    assert "--img1" in shown
    assert shown.endswith("set()\n")


# What a comparison has no use for, and what took most of its time: libraries that build, train, plot or read tables.
NOT_LOADED = (
    "accelerate cv2 datasets diffusers faiss huggingface_hub matplotlib numba open_clip pandas pyarrow "
    "pytorch_metric_learning rich scipy sklearn tensorboard timm torch._dynamo torchvision transformers"
)


@pytest.mark.parametrize("model", ["efficientnet-lite0", "ViT-B/32"])
def test_a_comparison_loads_only_what_it_needs(model: str, tmp_path: Path) -> None:
    for name, grey in (("a.png", 40), ("b.png", 200)):
        Image.new("RGB", (40, 30), (grey, 90, 90)).save(tmp_path / name)
    encoder = create(model, "random")
    threshold = {"value": 0.45, "rule": "f1", "chosen_on": "validation"}
    metadata = {"run": "trained", "encoder": encoder.spec.to_dict(), "threshold": threshold}
    save(tmp_path / "trained" / "best", {"weights": encoder.tower.state_dict()}, metadata)
    pair = [
        "--img1",
        str(tmp_path / "a.png"),
        "--img2",
        str(tmp_path / "b.png"),
        "--checkpoint",
        str(tmp_path / "trained"),
    ]
    code = (
        f"import sys, predict; predict.main({[*pair, '--device', 'cpu']}); print(set(sys.modules) & set(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *NOT_LOADED.split()]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    assert shown.startswith("answer")
    assert shown.endswith("set()\n")
