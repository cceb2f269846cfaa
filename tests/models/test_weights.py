"""Weights that cannot be had, cannot be read, or must not be run."""

from __future__ import annotations

import http.server
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from siamclip.errors import UserError
from siamclip.models import weights
from siamclip.models.weights import from_hub, from_url, read_state_dict

ROOT = Path(__file__).resolve().parents[2]
WAYS_OUT = ("weights FILE", "HF_HOME", "TORCH_HOME", "model efficientnet-lite0")


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- files ----------------------------------------------------------------------------------------------------------


class Malicious:
    """Unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("how", ["torch.save", "legacy torch.save", "pickle", "pickle in a state dict"])
def test_code_in_a_weights_file_is_not_run(how: str, tmp_path: Path) -> None:
    evil, path = Malicious(tmp_path / "run"), tmp_path / "weights.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps(evil))
    else:
        content = {"state_dict": {"a": torch.zeros(1), "b": evil}} if "state" in how else evil
        torch.save(content, path, _use_new_zipfile_serialization="legacy" not in how)
    with pytest.raises(
        UserError, match=r"weights\.pt: holds more than tensors .*is not loaded; save it as safetensors"
    ):
        read_state_dict(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.bin"])
@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99])
def test_a_truncated_file_is_damaged(name: str, kept: float, tmp_path: Path) -> None:
    path, tensors = tmp_path / name, {"a": torch.arange(1000.0)}
    if name.endswith("safetensors"):
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(UserError, match=f"{name}: (is damaged|holds more than tensors)"):
        read_state_dict(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_file_that_is_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("not weights, whatever the name says\n" * 50)
    with pytest.raises(UserError, match=f"{name}: (is damaged or not a weights file|holds more than tensors)"):
        read_state_dict(tmp_path / name)


def test_no_file_and_no_tensors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(UserError, match="no such file"):
            read_state_dict(path)
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(UserError, match=r"empty\.pt: holds no tensors"):
        read_state_dict(tmp_path / "empty.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(UserError, match=r"list\.pt: holds no tensors by name"):
        read_state_dict(tmp_path / "list.pt")


def test_tensors_by_name(tmp_path: Path) -> None:
    expected = {"a.weight": torch.rand(2, 3), "b": torch.arange(4)}
    torch.save({"state_dict": {f"module.{k}": v for k, v in expected.items()}, "epoch": 1}, tmp_path / "w.pt")
    save_file(expected, tmp_path / "w.safetensors")
    torch.save(expected, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    for name in ("w.pt", "w.safetensors", "legacy.pth"):
        found = read_state_dict(tmp_path / name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


# -- downloads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web site on this machine, and the folder that it shows."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def assert_names_the_ways_out(error: UserError, model: str) -> None:
    assert str(error).startswith(f"the weights of {model} cannot be had (")
    assert all(way in str(error) for way in WAYS_OUT)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:{port}", "no address at all", "http://[", "ftp://127.0.0.1:{port}"]
)
def test_a_hub_that_does_not_answer(endpoint: str, empty_caches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint.format(port=closed_port()))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("asked in vain for minutes"))
    with pytest.raises(UserError) as caught:
        from_hub("ViT-B/32", "timm/vit", ("a.safetensors",))
    assert_names_the_ways_out(caught.value, "ViT-B/32")


def test_a_host_that_talks_no_http(empty_caches: None) -> None:
    """As behind some hotel's proxy."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail ready\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UserError) as caught:
            from_url("resnet50", f"http://127.0.0.1:{server.getsockname()[1]}/resnet50.pth")
    assert_names_the_ways_out(caught.value, "resnet50")


def test_a_site_without_the_file(site: tuple[str, Path], empty_caches: None) -> None:
    with pytest.raises(UserError) as caught:
        from_url("resnet50", f"{site[0]}/resnet50.pth")
    assert_names_the_ways_out(caught.value, "resnet50")
    assert "404" in str(caught.value)


def test_a_file_is_downloaded_once(site: tuple[str, Path], empty_caches: None, tmp_path: Path) -> None:
    url, folder = site
    torch.save({"a": torch.ones(2)}, folder / "resnet50.pth")
    path = from_url("resnet50", f"{url}/resnet50.pth")
    assert path == tmp_path / "torch" / "hub" / "checkpoints" / "resnet50.pth"
    assert torch.equal(read_state_dict(path)["a"], torch.ones(2))
    (folder / "resnet50.pth").unlink()
    assert from_url("resnet50", f"{url}/resnet50.pth") == path  # from the cache


def test_a_cached_file_needs_no_network(tmp_path: Path, empty_caches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache's own layout, as a copy of another machine's has it."""
    repository = tmp_path / "hub" / "models--timm--vit"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "b.safetensors").write_bytes(b"")
    monkeypatch.setattr(weights, "_check_reachable", lambda *_: pytest.fail("asked the hub"))
    assert from_hub("ViT-B/32", "timm/vit", ("a.safetensors", "b.safetensors")) == snapshot / "b.safetensors"


@pytest.mark.slow
def test_a_script_says_so_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{closed_port()}", "HF_HOME": str(tmp_path)}
    code = "from siamclip.errors import exit_on_user_error\nfrom siamclip.models.encoder import create\n"
    code += "with exit_on_user_error():\n    create('ViT-B/32')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert all(way in done.stderr for way in WAYS_OUT)
