"""Checkpoints: tensors in safetensors, everything else in one JSON file, both written so that a kill loses nothing.

    checkpoints/<run>/best/metadata.json              names the files that belong to it, with their size and hash
    checkpoints/<run>/best/weights-<hash>.safetensors
    checkpoints/<run>/last/training-<hash>.safetensors    what a run goes on with: the optimiser's state

Tensor files get a name of their own and metadata.json is replaced last, in one step: whoever opens the folder at
any moment finds the old checkpoint or the new one, whole. No pickle is ever written or read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically

if TYPE_CHECKING:
    import torch

    from siamclip.models.encoder import SiameseEncoder

FORMAT = 1
METADATA = "metadata.json"


def save(folder: Path, parts: dict[str, dict[str, torch.Tensor]], metadata: dict[str, Any]) -> None:
    """Replace the checkpoint in `folder`. Raises UserError if it cannot be written; the old one then stays whole."""
    from safetensors.torch import save as serialise

    files: dict[str, dict[str, Any]] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, tensors in parts.items():
            content = serialise({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
            digest = xxhash.xxh3_128_hexdigest(content)
            name = f"{part}-{digest[:12]}.safetensors"
            write_atomically(folder / name, content)
            files[part] = {"name": name, "bytes": len(content), "xxh3": digest}
        text = json.dumps({"format": FORMAT, **metadata, "files": files}, ensure_ascii=False, indent=1)
        write_atomically(folder / METADATA, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise UserError(
            "",
            f"{folder}: the checkpoint cannot be saved ({error.strerror})",
            "the one before it is whole. Make room or choose another `checkpoint_dir`, and go on with `resume`",
        ) from error
    current = {entry["name"] for entry in files.values()}
    for stale in folder.glob("*-*.safetensors"):
        if stale.name not in current:
            stale.unlink(missing_ok=True)


def read_metadata(folder: Path) -> dict[str, Any]:
    """The checkpoint's metadata. Raises UserError if there is none, or none that this version can read."""
    path = folder / METADATA
    try:
        metadata = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    except FileNotFoundError:
        remedy = "give a run's folder or one of its checkpoints"
        raise UserError("checkpoint", f"holds no {METADATA}", remedy, folder) from None
    except (OSError, ValueError) as error:
        raise UserError("checkpoint", f"cannot be read ({error})", "use another checkpoint of the run", path) from None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise UserError("checkpoint", f"is not a checkpoint of format {FORMAT}", "train again with this version", path)
    return metadata


def read_tensors(folder: Path, metadata: dict[str, Any], part: str) -> dict[str, torch.Tensor]:
    """The tensors of one part, checked against the size and hash in the metadata. Raises UserError on damage."""
    from safetensors import SafetensorError
    from safetensors.torch import load as deserialise

    entry = metadata.get("files", {}).get(part)
    if not isinstance(entry, dict) or not {"name", "bytes", "xxh3"} <= entry.keys():
        raise UserError("checkpoint", f"has no {part}", "only 'last' can be resumed from", folder)
    path = folder / Path(entry["name"]).name  # never outside the folder, whatever the metadata says
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError("checkpoint", f"cannot be read ({error.strerror})", "use another checkpoint", path) from None
    if len(content) != entry["bytes"] or xxhash.xxh3_128_hexdigest(content) != entry["xxh3"]:
        raise UserError(
            "checkpoint",
            f"is damaged ({len(content):,} bytes, {entry['bytes']:,} expected, or changed since it was written)",
            "copy it again or use another checkpoint of the run",
            path,
        )
    try:
        return deserialise(content)
    except SafetensorError as error:
        raise UserError("checkpoint", f"is not a weights file ({error})", "use another checkpoint", path) from None


def load_encoder(folder: Path) -> tuple[SiameseEncoder, dict[str, Any]]:
    """The encoder of a checkpoint in evaluation mode on the CPU, and the metadata.

    Raises UserError where architecture, activation, preprocessing and weights do not belong together.
    """
    from siamclip.models.encoder import EncoderSpec, from_spec

    metadata = read_metadata(folder)
    try:
        weights = read_tensors(folder, metadata, "weights")
    except UserError:
        if read_metadata(folder).get("files") == metadata.get("files"):
            raise
        return load_encoder(folder)  # a training run replaced the checkpoint between the two reads
    encoder = from_spec(EncoderSpec.from_dict(metadata.get("encoder", {})))
    load_weights(encoder, weights, folder)
    return encoder, metadata


def load_weights(encoder: SiameseEncoder, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Copy a checkpoint's weights into an encoder; names and shapes must be the same. Raises UserError."""
    target = encoder.tower.state_dict()
    wrong = [
        k
        for k in target.keys() | weights.keys()
        if k not in target or k not in weights or target[k].shape != weights[k].shape
    ]
    if wrong:
        raise UserError(
            "checkpoint",
            f"its weights are not those of {encoder.spec.model}: {len(wrong)} tensors differ in name or shape, such as "
            f"{min(wrong)!r}",
            "it belongs to another architecture",
            folder,
        )
    encoder.tower.load_state_dict(weights)


def find(name: str, root: Path) -> Path:
    """The folder of a checkpoint: "newest" below `root`, a run's folder (its best), or the folder itself.

    Raises UserError if there is none.
    """
    if name == "newest":
        found = sorted(root.glob(f"*/best/{METADATA}"), key=lambda path: path.stat().st_mtime)
        if not found:
            remedy = "train one with train.py, or give `checkpoint`"
            raise UserError("checkpoint", f"there is none in {root}", remedy, "newest")
        return found[-1].parent
    for folder in (Path(name), Path(name) / "best", root / name, root / name / "best"):
        if (folder / METADATA).is_file():
            return folder
    raise UserError("checkpoint", f"no checkpoint there (a folder with {METADATA}), nor in {root}", value=name)


def newest_run(root: Path) -> str:
    """The name of the run below `root` that was saved last. Raises UserError if there is none to go on with."""
    found = sorted(root.glob(f"*/last/{METADATA}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError("resume", f"no run in {root} to go on with", "leave the flag out")
    return found[-1].parent.parent.name


# -- the optimiser's state, as tensors and plain types -----------------------------------------------------------


def pack_optimizer(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """`optimizer.state_dict()` as (tensors, JSON-safe rest)."""
    import torch

    tensors: dict[str, torch.Tensor] = {}
    rest: dict[str, Any] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                rest[f"{index}.{name}"] = value
    return tensors, {"state": rest, "param_groups": state["param_groups"]}


def unpack_optimizer(tensors: dict[str, torch.Tensor], rest: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `pack_optimizer`."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**rest["state"], **tensors}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": rest["param_groups"]}
