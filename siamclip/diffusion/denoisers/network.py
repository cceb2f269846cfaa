"""How the networks of every kind of diffusion model are loaded, called and told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
import xxhash

from siamclip.device import device_precision
from siamclip.errors import UserError, reason_of

Precision = Literal["fp32", "bf16", "fp16"]


def load_part(cls: Any, folder: Path, name: str, device: torch.device) -> Any:
    """A network of diffusers or transformers from its folder: in fp32 whatever it is stored in, in evaluation mode.

    Nothing is fetched and nothing unpickled but tensors. Raises UserError where it cannot be loaded.
    """
    try:
        network, notes = cls.from_pretrained(
            folder, torch_dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # each library and each format of weights has its own errors
        reason = reason_of(error)
        raise UserError("diffusion", f"{folder} cannot be loaded ({reason})", "copy the model again", name) from error
    if notes["missing_keys"]:  # the library would draw these at random, and say so on stderr
        raise UserError(
            "diffusion",
            f"{folder} cannot be loaded ({len(notes['missing_keys'])} weights are not there, such as "
            f"{min(notes['missing_keys'])!r})",
            "copy the model again",
            name,
        )
    return network.eval().requires_grad_(False).to(device)


@contextmanager
def computing_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Around a call of a network.

    fp32 is fp32: cuDNN would round to TF32's 10 bits, and choose among algorithms whose sums differ.
    """
    kind = device_precision(precision, device)
    if kind is not None:
        with torch.autocast(device.type, kind):
            yield
    elif device.type == "cuda":
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, deterministic=True, benchmark=False, allow_tf32=False
        ):
            yield
    else:
        yield


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raises UserError for fp16 on a CPU."""
    if precision == "fp16" and device.type == "cpu":
        raise UserError("denoiser_precision", "CPUs compute fp16 slower than fp32", "use bf16 or fp32", "fp16")


def fingerprint_of(networks: Iterable[torch.nn.Module], configs: Iterable[Mapping[str, Any]], *more: bytes) -> str:
    """Hash of weights and settings, 32 hexadecimal digits."""
    digest = xxhash.xxh3_128(json.dumps([dict(config) for config in configs], sort_keys=True, default=str).encode())
    for part in more:
        digest.update(xxhash.xxh3_128_digest(part))
    for network in networks:
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(name.encode())
            # In one layout: channels_last shows other bytes for the same weights.
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def square_side(config: Mapping[str, Any], name: str) -> int:
    """sample_size of a network's configuration. Raises UserError where it is missing or not a square."""
    size = config.get("sample_size")
    sides = size if isinstance(size, list | tuple) else (size, size)
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides) or sides[0] != sides[1]:
        raise UserError("diffusion", f"its sample_size is {size!r}, not the side of a square", "choose another", name)
    return sides[0]
