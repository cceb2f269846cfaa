"""Diffusion models of the hub: what is needed of a repository, from the cache or fetched."""

from __future__ import annotations

from pathlib import Path

from siamclip.errors import UserError, reason_of
from siamclip.models.weights import no_answer

# A repository often holds the same weights several times: in half precision, for other libraries, in older formats.
_SETTINGS = (
    "model_index.json", "config.json", "scheduler_config.json", "unet/config.json", "vae/config.json",
    "scheduler/*.json", "text_encoder/config.json", "tokenizer/*",
)  # fmt: skip
_WEIGHTS = ("diffusion_pytorch_model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
_FORMATS = (
    (*(f"{part}.safetensors" for part in _WEIGHTS), "text_encoder/model.safetensors"),
    (*(f"{part}.bin" for part in _WEIGHTS), "text_encoder/pytorch_model.bin"),
)


def fetch(name: str) -> Path:
    """The folder of a repository "owner/name" in the hub's cache. Raises UserError, at once where no hub answers."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        cached = huggingface_hub.snapshot_download(
            name, allow_patterns=[*_SETTINGS, *_FORMATS[0], *_FORMATS[1]], local_files_only=True
        )
        if _is_whole(Path(cached)):
            return Path(cached)
    except HFValidationError:
        raise UserError("diffusion", "no such folder, nor a name that the hub could have", value=name) from None
    except LocalEntryNotFoundError:
        pass
    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else no_answer(constants.ENDPOINT)
    if reason:
        raise UserError(
            "diffusion", f"no such folder, and the hub cannot be asked ({reason})", "give a folder that holds it", name
        )
    try:
        for weights in _FORMATS:
            folder = huggingface_hub.snapshot_download(name, allow_patterns=[*_SETTINGS, *weights])
            if _is_whole(Path(folder)):
                return Path(folder)
    except Exception as error:  # no such repository, no permission, network, disk: each layer has its own types
        reason = reason_of(error)
        raise UserError(
            "diffusion", f"no such folder, and not to be had from the hub ({reason})", value=name
        ) from error
    raise UserError(
        "diffusion", "its repository holds no weights of a DDPMPipeline or StableDiffusionPipeline", value=name
    )


def _is_whole(folder: Path) -> bool:
    """Weights beside each configuration that has some."""
    found = {Path(file).parent for weights in _FORMATS for file in weights if (folder / file).is_file()}
    needed = {Path(file).parent for file in _SETTINGS if file.endswith("config.json") and (folder / file).is_file()}
    needed -= {Path("scheduler")}
    return bool(needed) and needed <= found
