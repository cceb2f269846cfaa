from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.quality.no_reference import brisque, iqa
from siamclip.errors import UserError
from tests.cleaning.gray_photos import decoded, photos, textured
from tests.cleaning.quality.no_reference.test_brisque import RANGES, grass, write_model

needs_pyiqa = pytest.mark.skipif(importlib.util.find_spec("pyiqa") is None, reason="pyiqa is not installed")


@pytest.fixture
def model(tmp_path: Path) -> str:
    write_model(tmp_path, np.random.default_rng(0).uniform(-1, 1, (4, 36)), RANGES)
    return str(tmp_path)


def test_brisque_with_a_folder_survives_pickling(model: str) -> None:
    scorer, columns = iqa.open_metrics(["brisque"], {"brisque": model})["brisque"]
    assert columns == {"iqa_brisque": "f4"}
    photo = decoded(grass(48, 64, 2))
    expected = {"iqa_brisque": brisque.load_model(model).score(brisque.features(photo.gray))}
    assert scorer(photo) == expected
    assert pickle.loads(pickle.dumps(scorer))(photo) == expected


def test_what_has_no_statistics_has_no_score(model: str) -> None:
    scorer, _ = iqa.open_metrics(["brisque"], {"brisque": model})["brisque"]
    for gray in (np.zeros((40, 40), np.uint8), textured(3, 5, 1.0)):
        assert np.isnan(scorer(decoded(gray))["iqa_brisque"])


def test_missing_pyiqa_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UserError, match="pip install pyiqa"):
        iqa.open_metrics(["niqe"])
    with pytest.raises(UserError, match="pip install pyiqa"):
        iqa.iqa(photos({"iqa_musiq": [50.0]}), metric="musiq", threshold=30.0)


def test_bad_weights_are_named(model: str) -> None:
    with pytest.raises(UserError, match="metric brisque: its weights nowhere do not exist"):
        iqa.open_metrics(["brisque"], {"brisque": "nowhere"})
    with pytest.raises(UserError, match="metric niqe, which is not asked for"):
        iqa.open_metrics(["brisque"], {"brisque": model, "niqe": model})


def test_judge_brisque() -> None:
    table = photos({"iqa_brisque": np.array([10, 40, 41.5, np.nan, 20], "f4")})
    found = iqa.iqa(table)
    assert found.method == "iqa" and found.rows.tolist() == [2] and not found.keep.any()
    assert found.reason == ["bad quality: brisque 41.5, above 40; higher than 75% of the photos"]
    assert found.notes["not scored"] == 1 and found.notes["judged"] == 4
    assert iqa.iqa(table, threshold=15.0, max_share=1.0).rows.tolist() == [1, 2, 4]
    assert iqa.iqa(table, percentile=25.0).rows.tolist() == [2]


def test_other_metrics_need_a_threshold() -> None:
    table = photos({"iqa_niqe": [3.0, 9.0, 4.0, 5.0]})
    with pytest.raises(UserError, match=r"needs set iqa\.threshold"):
        iqa.iqa(table, metric="niqe")
    assert iqa.iqa(table, metric="niqe", threshold=8.0).rows.tolist() == [1]
    assert iqa.iqa(table, metric="niqe", percentile=25.0).rows.tolist() == [1]
    with pytest.raises(UserError, match="the scan holds no 'iqa_piqe'"):
        iqa.iqa(table, metric="piqe", threshold=50.0)


@needs_pyiqa
def test_directions_are_those_of_pyiqa() -> None:
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    single = {name: entry for name, entry in DEFAULT_CONFIGS.items() if entry.get("metric_mode") == "NR"}
    lower = {name for name, entry in single.items() if entry.get("lower_better")}
    assert lower - iqa._NOT_OF_ONE_PHOTO == iqa.LOWER_BETTER


@needs_pyiqa
def test_a_metric_of_pyiqa() -> None:
    """PIQE needs no weights: with others only the file differs."""
    import pyiqa
    import torch

    scorer, columns = iqa.open_metrics(["piqe"])["piqe"]
    assert columns == {"iqa_piqe": "f4"}
    sharp, blurred = decoded(textured(96, 128, 1.0)), decoded(textured(96, 128, 6.0))
    tensor = torch.from_numpy(sharp.rgb).permute(2, 0, 1)[None] / 255
    assert scorer(sharp)["iqa_piqe"] == pytest.approx(
        float(pyiqa.create_metric("piqe", device="cpu")(tensor)), rel=1e-5
    )
    assert pickle.loads(pickle.dumps(scorer))(blurred) == scorer(blurred)
    assert scorer(blurred)["iqa_piqe"] > scorer(sharp)["iqa_piqe"]
    assert np.isnan(scorer(Decoded(sharp.rgb[:3, :5], sharp.header))["iqa_piqe"])


@needs_pyiqa
def test_weights_by_path(tmp_path: Path) -> None:
    import scipy.io
    import torch

    scipy.io.savemat(tmp_path / "niqe.mat", {"mu_prisparam": np.zeros(36), "cov_prisparam": np.eye(36)})
    scorer, _ = iqa.open_metrics(["niqe"], {"niqe": str(tmp_path / "niqe.mat")})["niqe"]
    assert np.isfinite(scorer(decoded(textured(256, 256, 1.5)))["iqa_niqe"])
    torch.save((torch.ones(2, 1), torch.zeros(2, 36)), tmp_path / "brisque.pth")
    scorer, _ = iqa.open_metrics(["brisque"], {"brisque": str(tmp_path / "brisque.pth")})["brisque"]
    assert isinstance(scorer, iqa.PyiqaMetric)
    assert np.isfinite(scorer(decoded(textured(64, 64, 1.5)))["iqa_brisque"])


@needs_pyiqa
def test_weights_are_not_executed(tmp_path: Path) -> None:
    (tmp_path / "brisque.pth").write_bytes(pickle.dumps(Path("code")))
    with pytest.raises(UserError, match="holds more than tensors"):
        iqa.open_metrics(["brisque"], {"brisque": str(tmp_path / "brisque.pth")})


@needs_pyiqa
@pytest.mark.parametrize(
    ("name", "message"), [("musqi", "did you mean musiq"), ("psnr", "no such"), ("fid", "no such")]
)
def test_unknown_metrics(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        iqa.open_metrics([name])
