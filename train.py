"""Fine-tune an image encoder as a Siamese network on folders of photos, one folder an identity.

python train.py --data_dir photos                       # the baseline recipe
python train.py --data_dir photos --recipe strong       # the recipe that verifies best on unseen identities
accelerate launch train.py --data_dir photos            # several GPUs
"""

from __future__ import annotations

import sys

from config import MAY_CHANGE_ON_RESUME, TrainConfig, answer_early, load
from siamclip.cli.command_line import resumed
from siamclip.errors import UserError, exit_on_user_error, printable

if __name__ == "__main__":  # --help and mistyped flags are answered before torch takes its seconds to load
    answer_early(TrainConfig, __doc__)

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from rich.console import Console

from dataset import SPLITS, data_notes, data_table, load_augmented, load_splits
from siamclip.augmentation.mix.features import mixed_inside
from siamclip.cli.yaml_settings import as_yaml
from siamclip.data.collection import check_usable
from siamclip.data.image.plate_masking import masked_reader
from siamclip.data.loader import PhotoLoader
from siamclip.data.pairs import fixed_pairs
from siamclip.device import choose_device, make_accelerator, reuse_large_buffers
from siamclip.embedding.embedder import choose_precision, embed_loaded, encode
from siamclip.learning_rate import learning_rate_factor
from siamclip.models import checkpoint
from siamclip.models.encoder import create
from siamclip.models.layers import checkpoint_gradients, freeze
from siamclip.training.images.mixing import make_mixing
from siamclip.training.images.training_set import TrainingPhotos
from siamclip.training.images.transforms import OnlineAugmentation
from siamclip.training.losses import make_loss, takes_soft_labels
from siamclip.training.optimisation import make_optimizer, parameter_groups, proxy_groups
from siamclip.training.run.checkpoints import RunCheckpoints
from siamclip.training.run.log import Row, RunLog
from siamclip.training.run.progress import TrainingProgress, epoch_line, final_table, warnings, weights_line
from siamclip.training.run.state import TrainingState, photos_fingerprint, saved_metadata
from siamclip.training.sampling import Batch
from siamclip.training.validation import Validation, validate


class Training:
    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.mixing = make_mixing(config.mix, config.mix_set, config.mix_probability, config.loss)
        torch.manual_seed(config.seed)  # random weights and proxies are the same in a run that goes on
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
        self.mixing.try_out(self.encoder)

        self.splits = load_splits(config)
        train, val = self.splits.train, self.splits.val
        self.augmented = load_augmented(config.augmented_dir, self.splits, takes_soft_labels(config.loss))
        self.photos = TrainingPhotos(train.files, train.paths, train.labels, self.augmented)
        read = masked_reader(
            self.encoder.spec.preprocessing,
            train.root,
            config.plate_boxes,
            config.plate_detector,
            config.plate_mask_probability,
            config.seed,
        )
        self.train_loader = self._loader(self.photos.files, read)
        self.val_loader = self._loader(val.files)
        self.unreadable: list[tuple[str, str]] = []
        self.augment = OnlineAugmentation(
            config.flip_probability if config.flip else 0.0,
            config.brightness if config.jitter else 0.0,
            config.contrast if config.jitter else 0.0,
            config.random_crop,
            config.random_erasing,
        )
        balanced = config.positive_ratio if config.batching == "identities" else None
        classes = len(train.identities)
        loss = make_loss(
            config.loss, config.margin, config.positive_margin, balanced, classes, self.encoder.spec.dimension
        )
        groups = parameter_groups(self.encoder, config.learning_rate, config.weight_decay, config.layer_decay)
        proxies = proxy_groups(loss, config.learning_rate)
        optimizer = make_optimizer(config.optimizer, groups + proxies)
        self.model, self.optimizer = self.accelerator.prepare(self.encoder, optimizer)
        self.loss = self.accelerator.prepare(loss) if proxies else loss
        self.state = TrainingState(self.encoder, self.optimizer, loss, self.accelerator.scaler)
        self.run = (
            config.run_name or f"{config.model.replace('/', '-').replace(':', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
        )
        fingerprints = [photos_fingerprint(side.root, side.paths) for side in (train, val)]
        fingerprints += [images.fingerprint for images in self.augmented]
        folder = Path(config.checkpoint_dir) / self.run
        self.checkpoints = RunCheckpoints(folder, self.state, fingerprints, self._about)

    def _loader(self, files: Sequence[Path], read: Callable[[Path, int], np.ndarray] | None = None) -> PhotoLoader:
        preprocessing = self.encoder.spec.preprocessing
        share = len(files) / (len(self.photos) + len(self.splits.val))
        return PhotoLoader(
            files,
            read or (lambda file, _: preprocessing.load(file)),
            self.config.num_workers,
            int(self.config.cache_gb * share * 2**30),
        )

    # -- the loop -------------------------------------------------------------------------------------------

    def __call__(self) -> None:
        config = self.config
        self._introduce()
        self._drop_unreadable_validation()
        is_main = self.accelerator.is_main_process
        log = RunLog(Path(config.log_dir) / self.run, self.state.progress.step) if is_main else None
        if log:
            log.settings(as_yaml(config))
        if not self.state.progress.history:
            self._end_of_epoch(log, {})
        with TrainingProgress(self.console) as self.bar:
            while not self._is_over():
                figures = self._train_epoch(log)
                progress = self.state.progress
                progress.epoch, progress.batch, progress.sums = progress.epoch + 1, 0, {}
                self._end_of_epoch(log, figures)
        if log:
            self._finish()
            log.close()

    def _introduce(self) -> None:
        self.console.print(data_table(self.run, self.splits))
        for line in [*data_notes(self.splits), *(images.note() for images in self.augmented)]:
            self.console.print(printable(line), markup=False)
        if self.augmented and self.config.plate_boxes:
            self.console.print("--plate_boxes knows photos alone: it hides no plate in augmented images")
        self.console.print(weights_line(self.encoder, self.precision, self.accelerator.device))
        if self._is_over():
            self.console.print(f"{self.run}: its {self.state.progress.epoch} epochs are done, nothing is left to train")

    def _is_over(self) -> bool:
        config, progress = self.config, self.state.progress
        patience_is_over = 0 < config.early_stopping_patience <= progress.stale_epochs
        return progress.epoch >= config.num_epochs or patience_is_over

    def _train_epoch(self, log: RunLog | None) -> Row:
        """One pass over the epoch's batches, from where a resumed run left it. Returns the epoch's means."""
        config, progress = self.config, self.state.progress
        batches = self._batches()
        steps = -(-len(batches) // config.accumulation_steps)
        self.bar.start_epoch(progress.epoch, config.num_epochs, len(batches), progress.batch)
        self.model.train()
        last_save = time.monotonic()
        todo = batches[progress.batch :]
        for batch, (photos, unreadable) in zip(todo, self.train_loader.stream(b.photos for b in todo), strict=True):
            in_step = progress.batch % config.accumulation_steps
            batches_in_step = min(config.accumulation_steps, len(batches) - (progress.batch - in_step))
            self._backward(batch.without(unreadable), photos, 1 / batches_in_step)
            progress.batch += 1
            self.bar.advance(len(photos), progress.figures().get("loss"))
            if in_step + 1 < batches_in_step:
                continue
            self._optimizer_step(steps)
            if log:
                log.step(progress.step, progress.figures())
            if time.monotonic() - last_save > 60 * config.save_every_minutes:
                self._save_last()
                last_save = time.monotonic()
        return progress.figures()

    def _backward(self, batch: Batch, photos: np.ndarray, share: float) -> None:
        """Add a batch's share of a step's gradient: each photo is encoded once, however many of the pairs use it."""
        if not len(batch.pairs):
            return
        config, progress, device = self.config, self.state.progress, self.accelerator.device
        # Whatever draws at random below starts from a seed of its own: a resumed run draws the same.
        seeds = [config.seed, progress.epoch, progress.batch, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        rng = np.random.default_rng(seeds)
        pixels = self.augment(torch.from_numpy(photos).to(device), rng)
        pixels, mixed = self.mixing(pixels, self._features, rng)
        pairs = self.photos.pairs_of(batch, mixed.partner.cpu().numpy(), mixed.share.cpu().numpy())
        labels = torch.from_numpy(self.photos.labels.hardened[batch.photos]).to(device)
        with mixed_inside(self.encoder, mixed):  # until gradients are there: checkpointed blocks run again for them
            embeddings = self.model(self.encoder.spec.preprocessing.normalise(pixels))
            loss = self.loss(embeddings, labels, pairs)
            if not torch.isfinite(loss.value):
                raise self._diverged(f"the loss became {loss.value.item()}")
            self.accelerator.backward(loss.value * share)
        progress.add({"loss": loss.value.item(), "active_negatives": loss.active_negatives})

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, D) of a batch by the weights as they are now: one forward pass more, a quarter of a step."""
        self.encoder.eval()
        features = encode(self.encoder, pixels.clone(), self.accelerator.device, self.precision).clone()
        self.encoder.train()
        return features

    def _optimizer_step(self, steps: int) -> None:
        """One step of the `steps` that an epoch has."""
        config, progress = self.config, self.state.progress
        warmup, total = config.warmup_epochs * steps, config.num_epochs * steps
        factor = learning_rate_factor(progress.step, warmup, total, config.scheduler)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        if config.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.step += 1
        progress.learning_rate = config.learning_rate * factor

    def _batches(self) -> list[Batch]:
        """This process's batches of the epoch under way; the same whenever it is asked for them."""
        config, state = self.config, self.state
        rng = np.random.default_rng([config.seed, state.progress.epoch])
        if config.batching == "identities":
            batches = self.photos.identity_batches(config.batch_size, config.photos_per_class, rng)
        else:
            if config.negatives == "hard" and state.progress.batch == 0:
                embeddings = self._embed(self.train_loader)
                state.neighbours = self._from_main(self.photos.hard_negatives(embeddings, config.hard_pool))
            batches = self.photos.pair_batches(
                config.batch_size, config.samples_per_class, config.positive_ratio, rng, state.neighbours
            )
        processes = self.accelerator.num_processes
        if len(batches) < processes:
            raise UserError(
                "batch_size", f"{processes} processes share {len(batches)} batches", "lower it", config.batch_size
            )
        return batches[self.accelerator.process_index : len(batches) - len(batches) % processes : processes]

    def _from_main(self, value: Any) -> Any:
        """The main process's value, in every process: so that all of them decide alike."""
        return broadcast_object_list([value])[0]

    def _diverged(self, what: str) -> UserError:
        return UserError(
            "learning_rate",
            f"{what} in epoch {self.state.progress.epoch + 1}",
            "lower it, or set `precision` fp32",
            f"{self.config.learning_rate:g}",
        )

    # -- validation -----------------------------------------------------------------------------------------

    def _embed(self, loader: PhotoLoader) -> np.ndarray:
        self.encoder.eval()
        return embed_loaded(self.encoder, loader, self.accelerator.device, self.precision)

    def _drop_unreadable_validation(self) -> None:
        """Decode the validation photos once, so that its pairs are the same in every epoch."""
        self._embed(self.val_loader)
        val, failures = self.splits.val, self.val_loader.failures
        if failures:
            self.unreadable = [(val.paths[i], why) for i, why in failures.items()]
            self.splits.val = val.select(~np.isin(np.arange(len(val)), list(failures)))
            check_usable("validation", self.splits.val)
            self.val_loader = self._loader(self.splits.val.files)

    def _validate(self) -> Validation:
        config, val = self.config, self.splits.val
        embeddings = self._embed(self.val_loader)
        for i, why in self.val_loader.failures.items():
            raise UserError("", f"{val.files[i]}: can no longer be read ({why})", "put it back and go on with `resume`")
        if not np.isfinite(embeddings).all():
            raise self._diverged("the weights became so large that embeddings are not finite")
        return validate(
            embeddings,
            fixed_pairs(val.labels, config.val_pairs_per_class, config.positive_ratio, config.seed),
            config.margin,
            config.positive_margin,
            config.threshold,
            config.positive_ratio,
            config.seed,
        )

    # -- the end of an epoch, of a run ------------------------------------------------------------------------

    def _end_of_epoch(self, log: RunLog | None, figures: Row) -> None:
        """Validate and save. Before the first epoch this measures the pretrained weights."""
        config, progress = self.config, self.state.progress
        if self.accelerator.is_main_process:
            found = self._validate()
            row = {"epoch": float(progress.epoch), **figures, **found.metrics}
            progress.history.append(row)
            self.console.print(epoch_line(row, config.num_epochs), highlight=False, soft_wrap=True)
            for warning in warnings(row, found.collapse):
                self.console.print(f"[yellow]{warning}")
            if row["val_auc"] > progress.best_auc + (config.min_delta if progress.epoch else 0):
                progress.best_auc, progress.stale_epochs = row["val_auc"], 0
                self.checkpoints.save("best", found, config.positive_ratio)
            else:
                progress.stale_epochs += 1
            if progress.epoch and progress.epoch % config.save_every == 0:
                self.checkpoints.save(f"epoch-{progress.epoch:03d}", found, config.positive_ratio)
        self.state.progress = self._from_main(progress)
        self._save_last()
        self.accelerator.wait_for_everyone()
        if log:
            log.epoch(self.state.progress.history, self.state.progress.step)
            log.skipped(self._left_out())

    def _save_last(self) -> None:
        # Inside an epoch the processes look at their own clocks: nobody may wait for the others here.
        if self.accelerator.is_main_process:
            self.checkpoints.save_last()

    def _about(self) -> dict[str, Any]:
        """What checkpoints say of the run, besides weights, figures and how far it has come."""
        return {
            "config": asdict(self.config),
            "data_dir": str(self.splits.train.root),
            "split": {name: getattr(self.splits, name).identities for name in SPLITS},
        }

    def _finish(self) -> None:
        """Blend the best weights with the pretrained ones as validation likes best, and say what came out."""
        if self.config.wise_ft:
            alpha = self.checkpoints.blend_best(self.pretrained, self._validate, self.config.positive_ratio)
            self.console.print(f"WiSE-FT: {alpha:.1f} of the fine-tuned and {1 - alpha:.1f} of the pretrained weights")
        best = checkpoint.read_metadata(self.checkpoints.folder / "best")
        self.console.print(final_table(self.state.progress.history[0], best))
        self.console.print(
            f"next: python evaluate.py --checkpoint {self.checkpoints.folder} --data_dir {self.splits.train.root}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def _left_out(self) -> list[tuple[str, str]]:
        found = [(self.photos.names[i], why) for i, why in self.train_loader.failures.items()]
        found += [(f"{images.folder}/{path}", why) for images in self.augmented for path, why in images.skipped]
        return found + self.unreadable + [(file.path, file.reason) for file in self.splits.skipped]


def train(config: TrainConfig, argv: Sequence[str] = ()) -> Path:
    """Run, or go on with a run; returns the folder of its checkpoints. Raises UserError."""
    reuse_large_buffers()
    root, resuming = Path(config.checkpoint_dir), config.resume
    if resuming:
        run = config.run_name or checkpoint.newest_run(root)
        saved = saved_metadata(root / run / "last")
        given = replace(config, run_name=run)
        config = replace(resumed(saved["config"], given, argv, MAY_CHANGE_ON_RESUME), resume=False)
    elif config.run_name and (root / config.run_name / "last" / checkpoint.METADATA).exists():
        raise UserError("run_name", f"exists in {root}", "choose another, or add `resume`", config.run_name)
    training = Training(config)
    if resuming:
        training.checkpoints.resume()
    try:
        training()
    except KeyboardInterrupt:
        training.console.print(training.checkpoints.how_to_go_on(), highlight=False, markup=False, soft_wrap=True)
        raise
    return training.checkpoints.folder


def main() -> None:
    train(load(TrainConfig, description=__doc__), sys.argv[1:])


if __name__ == "__main__":
    with exit_on_user_error():
        main()
