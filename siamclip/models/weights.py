"""Where weights come from: the hub's cache, a download, a local file, or a package that carries them.

No file is ever unpickled into anything but tensors: safetensors, `torch.load(weights_only=True)`, or a
TorchScript archive (OpenAI's own format), which torch reads without running Python.
"""

from __future__ import annotations

import http.client
import logging
import pickle
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from siamclip.errors import UserError, without_backquotes

if TYPE_CHECKING:
    import torch

CONNECT_SECONDS = 5  # a host that does not answer by then is not there; users should not wait to learn it


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file, by name. Raises UserError if it is missing, damaged or not only tensors."""
    import torch

    if not path.is_file():
        raise UserError("weights", "no such file", value=path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if _is_torchscript(path):
            content = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        problem = "holds more than tensors (a pickle that could run code) and is not loaded"
        raise UserError("weights", problem, "save it as safetensors", path) from None
    except Exception as error:  # each format's reader has its own error types for damage
        problem = f"is damaged or not a weights file ({_first_line(error)})"
        raise UserError("weights", problem, value=path) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    named = content.items() if isinstance(content, dict) else ()
    tensors = {str(k).removeprefix("module."): v for k, v in named if isinstance(v, torch.Tensor)}
    if not tensors:
        raise UserError("weights", "holds no tensors by name", value=path)
    return tensors


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _first_line(error: Exception) -> str:
    return without_backquotes((str(error).splitlines() or [type(error).__name__])[0][:200])


def from_hub(model: str, repository: str, filenames: tuple[str, ...]) -> Path:
    """A file of a hub repository, from the cache or downloaded; the first of `filenames` that exists.

    Raises UserError with the three ways out, within seconds if the hub cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError

    for name in filenames:
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    _check_reachable(model, constants.ENDPOINT)
    for name in filenames:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, etag_timeout=CONNECT_SECONDS))
        except EntryNotFoundError:
            continue
        except Exception as error:  # network, proxy, permission, disk: each library layer has its own types
            raise unavailable(model, _first_line(error)) from error
    raise unavailable(model, f"{repository} has none of {', '.join(filenames)}")


def from_url(model: str, url: str) -> Path:
    """A file by its address, kept in torch's cache folder. Raises UserError with the three ways out."""
    import torch

    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if target.is_file():
        return target
    _check_reachable(model, url)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(target))
    except Exception as error:  # as above
        raise unavailable(model, _first_line(error)) from error
    return target


def _check_reachable(model: str, url: str) -> None:
    logging.getLogger(__name__).info("asking %s for the weights of %s", url, model)
    reason = no_answer(url)
    if reason:
        raise unavailable(model, reason)


def no_answer(url: str) -> str:
    """Why nobody answers at an address, "" where somebody does.

    To fail fast: clients of hubs retry for minutes where no network is.
    """
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=CONNECT_SECONDS):
            return ""
    except urllib.error.HTTPError:
        return ""  # it answered, whatever it thinks of this page
    except (OSError, ValueError, http.client.HTTPException) as error:  # no answer, no address, no web server
        return _first_line(error)


def unavailable(model: str, reason: str) -> UserError:
    return UserError(
        "",
        f"the weights of {model} cannot be had ({reason}). Three ways out: download them on a connected machine and "
        "pass the file with `weights` FILE; copy that machine's hub cache and point HF_HOME (for open_clip's models) "
        "or TORCH_HOME (for resnet50) at it; or use `model` efficientnet-lite0, whose weights are installed with the "
        "requirements",
    )
