"""Fine-tune an image encoder as a Siamese network on folders of photos, one folder an identity.

python train.py --data_dir photos                       # the baseline recipe
python train.py --data_dir photos --recipe strong       # the recipe that verifies best on unseen identities
accelerate launch train.py --data_dir photos            # several GPUs
"""

from __future__ import annotations

import sys

from config import TrainConfig, as_yaml, check, load, resumed
from siamclip.errors import UserError, exit_on_user_error

if __name__ == "__main__":  # --help and mistyped flags are answered before torch takes its seconds to load
    with exit_on_user_error():
        CONFIG = load(TrainConfig, description=__doc__)
        check(CONFIG)

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from rich.console import Console

from dataset import Collection, check_usable, data_notes, data_table, load_splits
from siamclip import checkpoint
from siamclip.augmentation.online import OnlineAugmentation
from siamclip.embedding.embedder import choose_device, choose_precision, embed_loaded
from siamclip.losses import make_loss
from siamclip.model import checkpoint_gradients, create, freeze
from siamclip.optimisation import interpolate, learning_rate_factor, make_accelerator, make_optimizer, parameter_groups
from siamclip.pairs import Batch, draw_pairs, fixed_pairs, hard_negatives, identity_batches, pair_batches
from siamclip.photos import PhotoLoader
from siamclip.plates import masked_reader
from siamclip.progress import TrainingProgress, epoch_line, final_table, warnings
from siamclip.runlog import Row, RunLog
from siamclip.validation import Validation, decision, validate

ALPHAS = tuple(i / 10 for i in range(11))  # WiSE-FT's sweep, from pretrained (0) to fine-tuned (1)


@dataclass
class Progress:
    """Where a run stands: with the weights and the optimiser's state, all that --resume needs."""

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done in the epoch under way
    step: int = 0  # optimiser steps done
    best_auc: float = -1.0
    stale_epochs: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way
    history: list[Row] = field(default_factory=list)


class Training:
    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        device = choose_device(config.device)
        self.encoder = create(config.model, config.weights, config.image_size, config.geometry)
        self.pretrained = {name: tensor.clone() for name, tensor in self.encoder.tower.state_dict().items()}
        self.precision = choose_precision(config.precision, device, self.encoder)
        self.accelerator = make_accelerator(device, self.precision)
        self.console = Console(quiet=not self.accelerator.is_main_process)
        if device.type == "cpu":
            self.encoder.compute_dtype = self.precision
        if config.gradient_checkpointing:
            checkpoint_gradients(self.encoder)
        freeze(self.encoder, config.freeze_patch_embedding, config.freeze_blocks)

        self.splits = load_splits(config)
        read = masked_reader(
            self.encoder.spec.preprocessing,
            self.splits.train.root,
            config.plate_boxes,
            config.plate_detector,
            config.plate_mask_probability,
            config.seed,
        )
        self.train_loader = self._loader(self.splits.train, read)
        self.val_loader = self._loader(self.splits.val)
        self.unreadable: list[tuple[str, str]] = []
        self.augment = OnlineAugmentation(
            config.flip_probability if config.flip else 0.0,
            config.brightness if config.jitter else 0.0,
            config.contrast if config.jitter else 0.0,
            config.random_crop,
            config.random_erasing,
        )
        balanced = config.positive_ratio if config.batching == "identities" else None
        classes = len(self.splits.train.identities)
        loss = make_loss(
            config.loss, config.margin, config.positive_margin, balanced, classes, self.encoder.spec.dimension
        )
        groups = parameter_groups(self.encoder, config.learning_rate, config.weight_decay, config.layer_decay)
        if any(True for _ in loss.parameters()):  # proxies start at random: they learn at 100 times the rate
            groups.append({"params": list(loss.parameters()), "lr": 100 * config.learning_rate, "weight_decay": 0.0})
        for group in groups:
            group["base_lr"] = group["lr"]
        self.model, self.optimizer = self.accelerator.prepare(self.encoder, make_optimizer(config.optimizer, groups))
        self.loss = self.accelerator.prepare(loss) if any(True for _ in loss.parameters()) else loss
        self.progress = Progress()
        self.neighbours: np.ndarray | None = None
        self.run = (
            config.run_name or f"{config.model.replace('/', '-').replace(':', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
        )
        self.folder = Path(config.checkpoint_dir) / self.run

    def _loader(self, side: Collection, read: Callable[[Path, int], np.ndarray] | None = None) -> PhotoLoader:
        preprocessing = self.encoder.spec.preprocessing
        share = len(side) / (len(self.splits.train) + len(self.splits.val))
        return PhotoLoader(
            side.files,
            read or (lambda file, _: preprocessing.load(file)),
            self.config.num_workers,
            int(self.config.cache_gb * share * 2**30),
        )

    # -- the loop -------------------------------------------------------------------------------------------

    def __call__(self) -> None:
        config, progress = self.config, self.progress
        if not config.resume and (self.folder / "last" / checkpoint.METADATA).exists():
            raise UserError(
                f"--run_name {self.run}: exists in {config.checkpoint_dir}; choose another, or add --resume"
            )
        self.console.print(data_table(self.run, self.splits))
        for line in data_notes(self.splits):
            self.console.print(line, markup=False)
        trained = sum(p.numel() for p in self.encoder.parameters() if p.requires_grad) / 1e6
        precision = str(self.precision or torch.float32).removeprefix("torch.")
        self.console.print(f"{trained:.1f} million weights are trained, in {precision} on {self.accelerator.device}")
        self._drop_unreadable_validation()
        log = RunLog(Path(config.log_dir) / self.run, progress.epoch) if self.accelerator.is_main_process else None
        if log:
            log.settings(as_yaml(config))
        if not progress.history:
            self._end_of_epoch(log, {})
        with TrainingProgress(self.console) as self.bar:
            while progress.epoch < config.num_epochs and not self._patience_is_over():
                figures = self._train_epoch(log)
                progress.epoch, progress.batch, progress.sums = progress.epoch + 1, 0, {}
                self._end_of_epoch(log, figures)
        self._finish()
        if log:
            log.close()

    def _train_epoch(self, log: RunLog | None) -> Row:
        """One pass over the epoch's batches, from where a resumed run left it. Returns the epoch's means."""
        config, progress = self.config, self.progress
        batches = self._batches()
        total_steps = config.num_epochs * -(-len(batches) // config.accumulation_steps)
        warmup_steps = config.warmup_epochs * total_steps / config.num_epochs
        self.bar.start_epoch(progress.epoch, config.num_epochs, len(batches), progress.batch)
        self.model.train()
        last_save = time.monotonic()
        todo = batches[progress.batch :]
        for batch, (photos, unreadable) in zip(todo, self.train_loader.stream(b.photos for b in todo), strict=True):
            factor = learning_rate_factor(progress.step, warmup_steps, total_steps, config.scheduler)
            self._backward(batch.without(unreadable), photos)
            progress.batch += 1
            steps = progress.batch % config.accumulation_steps == 0 or progress.batch == len(batches)
            if steps:
                self._optimizer_step(factor)
            self.bar.advance(len(photos), self._means().get("loss"))
            if log:
                log.step(progress.step, {"learning_rate": config.learning_rate * factor, **self._means()})
            if steps and time.monotonic() - last_save > 60 * config.save_every_minutes:
                self._save_last()
                last_save = time.monotonic()
        return {**self._means(), "learning_rate": config.learning_rate * factor}

    def _backward(self, batch: Batch, photos: np.ndarray) -> None:
        """Add a batch's gradient: each photo is encoded once, however many of the pairs use it."""
        if not len(batch.pairs):
            return
        config, device = self.config, self.accelerator.device
        # Whatever draws at random below starts from a seed of its own: a resumed run draws the same.
        seeds = [config.seed, self.progress.epoch, self.progress.batch, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        pixels = self.augment(torch.from_numpy(photos).to(device), np.random.default_rng(seeds))
        embeddings = self.model(self.encoder.spec.preprocessing.normalise(pixels))
        labels = torch.from_numpy(self.splits.train.labels[batch.photos]).to(device)
        loss = self.loss(embeddings, labels, batch.pairs)
        if not torch.isfinite(loss.value):
            raise UserError(
                f"--learning_rate {config.learning_rate:g}: the loss became {loss.value.item()} in epoch "
                f"{self.progress.epoch + 1}; lower it, or set --precision fp32"
            )
        self.accelerator.backward(loss.value / config.accumulation_steps)
        sums = self.progress.sums
        for name, value in {"loss": loss.value.item(), "active_negatives": loss.active_negatives, "batches": 1}.items():
            sums[name] = sums.get(name, 0.0) + value

    def _optimizer_step(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        if self.config.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.step += 1

    def _batches(self) -> list[Batch]:
        """This process's batches of the epoch under way; the same whenever it is asked for them."""
        config, labels = self.config, self.splits.train.labels
        rng = np.random.default_rng([config.seed, self.progress.epoch])
        if config.batching == "identities":
            batches = identity_batches(labels, config.batch_size, config.photos_per_class, rng)
        else:
            if config.negatives == "hard" and self.progress.batch == 0:
                self.neighbours = self._hard_negatives()
            pairs = draw_pairs(labels, config.samples_per_class, config.positive_ratio, rng, self.neighbours)
            batches = pair_batches(pairs, config.batch_size)
        processes = self.accelerator.num_processes
        return batches[self.accelerator.process_index : len(batches) - len(batches) % processes : processes]

    def _hard_negatives(self) -> np.ndarray:
        embeddings = self._embed(self.train_loader)
        unreadable = np.isnan(embeddings[:, 0])
        nearest = hard_negatives(np.nan_to_num(embeddings), self.splits.train.labels, self.config.hard_pool)
        nearest[np.isin(nearest, np.flatnonzero(unreadable))] = -1
        return self._from_main(nearest)

    def _means(self) -> Row:
        sums = self.progress.sums
        return {k: sums[k] / sums["batches"] for k in ("loss", "active_negatives")} if sums else {}

    def _from_main(self, value: Any) -> Any:
        """The main process's value, in every process: so that all of them decide alike."""
        return broadcast_object_list([value])[0]

    # -- validation -----------------------------------------------------------------------------------------

    def _embed(self, loader: PhotoLoader) -> np.ndarray:
        self.encoder.eval()
        return embed_loaded(self.encoder, loader, self.accelerator.device, self.precision)

    def _drop_unreadable_validation(self) -> None:
        """Decode the validation photos once, so that its pairs are the same in every epoch."""
        readable = ~np.isnan(self._embed(self.val_loader)[:, 0])
        if not readable.all():
            val = self.splits.val
            self.unreadable += [(val.paths[i], why) for i, why in self.val_loader.failures.items()]
            self.splits.val = val.select(readable)
            check_usable("validation", self.splits.val)
            self.val_loader = self._loader(self.splits.val)

    def _validate(self) -> Validation:
        config, labels = self.config, self.splits.val.labels
        pairs = fixed_pairs(labels, config.val_pairs_per_class, config.positive_ratio, config.seed)
        return validate(
            self._embed(self.val_loader),
            pairs,
            config.margin,
            config.positive_margin,
            config.threshold,
            config.positive_ratio,
            config.seed,
        )

    # -- the end of an epoch, of a run ------------------------------------------------------------------------

    def _end_of_epoch(self, log: RunLog | None, figures: Row) -> None:
        """Validate and save. Before the first epoch this measures the pretrained weights."""
        config, progress = self.config, self.progress
        if self.accelerator.is_main_process:
            found = self._validate()
            row = {"epoch": float(progress.epoch), **figures, **found.figures}
            progress.history.append(row)
            self.console.print(epoch_line(row, config.num_epochs), highlight=False)
            for warning in warnings(row, found.collapse):
                self.console.print(f"[yellow]{warning}")
            if row["val_auc"] > progress.best_auc + (config.min_delta if progress.epoch else 0):
                progress.best_auc, progress.stale_epochs = row["val_auc"], 0
                self._save("best", found)
            else:
                progress.stale_epochs += 1
            if progress.epoch and progress.epoch % config.save_every == 0:
                self._save(f"epoch-{progress.epoch:03d}", found)
        self.progress = self._from_main(progress)
        self._save_last()
        if log:
            log.epoch(progress.history)
            log.skipped(self._left_out())

    def _save(self, name: str, found: Validation, wise_ft_alpha: float | None = None) -> None:
        metadata = {
            **self._metadata(),
            "wise_ft_alpha": wise_ft_alpha,
            "metrics": found.figures,
            **decision(found.distances, found.same, self.config.positive_ratio),
        }
        checkpoint.save(self.folder / name, {"weights": self.encoder.tower.state_dict()}, metadata)

    def _metadata(self) -> dict[str, Any]:
        splits = self.splits
        return {
            "run": self.run,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "encoder": self.encoder.spec.to_dict(),
            "config": asdict(self.config),
            "data_dir": str(splits.train.root),
            "split": {name: getattr(splits, name).identities for name in ("train", "val", "test")},
            "epoch": self.progress.epoch,
        }

    def _save_last(self) -> None:
        """All that --resume needs. A kill at any moment leaves this state or the one before it."""
        if self.accelerator.is_main_process:
            tensors, rest = checkpoint.pack_optimizer(self.optimizer.state_dict())
            training = {f"optimizer.{name}": tensor for name, tensor in tensors.items()}
            training |= {f"loss.{name}": tensor for name, tensor in self._bare_loss().state_dict().items()}
            if self.neighbours is not None:
                training["neighbours"] = torch.from_numpy(self.neighbours)
            scaler = self.accelerator.scaler
            metadata = {
                **self._metadata(),
                "progress": asdict(self.progress),
                "optimizer": rest,
                "scaler": scaler.state_dict() if scaler is not None else None,
                "data": checkpoint.names_fingerprint(self.splits.train.paths + self.splits.val.paths),
            }
            parts = {"weights": self.encoder.tower.state_dict(), "training": training}
            checkpoint.save(self.folder / "last", parts, metadata)
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Take up the state of `last`. Raises UserError if the photos are not those it was trained on."""
        folder = self.folder / "last"
        metadata = checkpoint.read_metadata(folder)
        if metadata["data"] != checkpoint.names_fingerprint(self.splits.train.paths + self.splits.val.paths):
            raise UserError(
                f"--resume {self.run}: photos were added, removed or moved since it stopped; start a new run"
            )
        checkpoint.load_weights(self.encoder, checkpoint.read_tensors(folder, metadata, "weights"), folder)
        training = checkpoint.read_tensors(folder, metadata, "training")
        optimizer = {k.removeprefix("optimizer."): v for k, v in training.items() if k.startswith("optimizer.")}
        self.optimizer.load_state_dict(checkpoint.unpack_optimizer(optimizer, metadata["optimizer"]))
        self._bare_loss().load_state_dict(
            {k.removeprefix("loss."): v for k, v in training.items() if k.startswith("loss.")}
        )
        if "neighbours" in training:
            self.neighbours = training["neighbours"].numpy()
        if self.accelerator.scaler is not None and metadata["scaler"]:
            self.accelerator.scaler.load_state_dict(metadata["scaler"])
        self.progress = Progress(**metadata["progress"])

    def _bare_loss(self) -> torch.nn.Module:
        return self.accelerator.unwrap_model(self.loss)

    def _patience_is_over(self) -> bool:
        patience = self.config.early_stopping_patience
        return patience > 0 and self.progress.stale_epochs >= patience

    def _finish(self) -> None:
        """Blend the best weights with the pretrained ones as validation likes best, and say what came out."""
        if not self.accelerator.is_main_process:
            return
        folder = self.folder / "best"
        metadata = checkpoint.read_metadata(folder)
        if self.config.wise_ft and metadata["wise_ft_alpha"] is None:
            finetuned = checkpoint.read_tensors(folder, metadata, "weights")
            sweep = {}
            for alpha in ALPHAS:
                self.encoder.tower.load_state_dict(interpolate(self.pretrained, finetuned, alpha))
                sweep[alpha] = self._validate()
            best = max(ALPHAS, key=lambda alpha: (sweep[alpha].figures["val_auc"], alpha))
            self.encoder.tower.load_state_dict(interpolate(self.pretrained, finetuned, best))
            self.progress.epoch = metadata["epoch"]
            self._save("best", sweep[best], wise_ft_alpha=best)
            self.console.print(f"WiSE-FT: {best:.1f} of the fine-tuned and {1 - best:.1f} of the pretrained weights")
        self.console.print(final_table(self.progress.history[0], checkpoint.read_metadata(folder)))
        self.console.print(
            f"next: python evaluate.py --checkpoint {self.folder} --data_dir {self.splits.train.root}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def _left_out(self) -> list[tuple[str, str]]:
        train, failures = self.splits.train, self.train_loader.failures
        found = [(train.paths[i], why) for i, why in failures.items()]
        return found + self.unreadable + [(file.path, file.reason) for file in self.splits.skipped]


def train(config: TrainConfig, argv: Sequence[str] = ()) -> Path:
    """Run, or go on with a run; returns the folder of its checkpoints. Raises UserError."""
    if config.resume:
        run = config.run_name or checkpoint.newest_run(Path(config.checkpoint_dir))
        saved = checkpoint.read_metadata(Path(config.checkpoint_dir) / run / "last")
        config = resumed(saved["config"], replace(config, run_name=run), argv)
    training = Training(config)
    if config.resume:
        training.resume()
    training()
    return training.folder


if __name__ == "__main__":
    with exit_on_user_error():
        train(CONFIG, sys.argv[1:])
