"""Fine-tune an image encoder as a Siamese network on folders of photos, one folder an identity.

python train.py --data_dir photos                       # the baseline recipe
python train.py --data_dir photos --recipe strong       # the recipe that verifies best on unseen identities
accelerate launch train.py --data_dir photos            # several GPUs
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import MAY_CHANGE_ON_RESUME, TrainConfig, load
from siamclip.errors import UserError, exit_on_user_error, printable

if TYPE_CHECKING:  # torch takes seconds to load: what needs it is imported where it is used, so that --help is quick
    import numpy as np

    from siamclip.data.loader import PhotoLoader
    from siamclip.training.run.log import Row, RunLog
    from siamclip.training.sampling import Batch
    from siamclip.training.validation import Validation


def main() -> None:
    config = load(TrainConfig, description=__doc__)
    train(config, sys.argv[1:])


def train(config: TrainConfig, argv: Sequence[str] = ()) -> Path:
    """Run, or go on with a run; returns the folder of its checkpoints. Raises UserError.

    argv: the flags that were given, some of which cannot change when a run goes on.
    """
    from siamclip.cli.command_line import resumed
    from siamclip.device import reuse_large_buffers
    from siamclip.models import checkpoint
    from siamclip.training.run.state import saved_metadata

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
        training.run()
    except KeyboardInterrupt:
        folder = training.checkpoints.folder
        resume = f"python train.py --resume --run_name {folder.name} --checkpoint_dir {folder.parent}"
        can_resume = training.checkpoints.can_resume()
        say(training, f"go on with: {resume}" if can_resume else "nothing was saved yet: start again")
        raise
    return training.checkpoints.folder


class Training:
    """A run: the encoder that learns, its photos, and where it stands (`state`)."""

    def __init__(self, config: TrainConfig) -> None:
        import torch
        from rich.console import Console

        from dataset import load_augmented, load_splits
        from siamclip.data.image.plate_masking import masked_reader
        from siamclip.device import choose_device, make_accelerator
        from siamclip.embedding.embedder import choose_precision
        from siamclip.models.encoder import create
        from siamclip.models.layers import checkpoint_gradients, freeze
        from siamclip.training.images.mixing import make_mixing
        from siamclip.training.images.training_set import TrainingSet
        from siamclip.training.images.transforms import OnlineAugmentation
        from siamclip.training.losses import takes_soft_labels
        from siamclip.training.validation import ValidationSettings, Validator

        self.config = config
        model = config.model.replace("/", "-").replace(":", "-")
        self.name = config.run_name or f"{model}-{datetime.now():%Y%m%d-%H%M%S}"
        # -- the encoder ----------------------------------------------------------------------------------------
        self.mixing = make_mixing(config.mix, config.mix_set, config.mix_probability, config.loss)
        torch.manual_seed(config.seed)  # random weights and proxies are the same in a run that goes on
        self.device = choose_device(config.device)
        self.encoder = create(config.model, config.weights, config.image_size, config.geometry)
        self.pretrained = {name: tensor.clone() for name, tensor in self.encoder.tower.state_dict().items()}
        self.precision = choose_precision(config.precision, self.device, self.encoder)
        self.accelerator = make_accelerator(self.device, self.precision)
        self.device = self.accelerator.device  # of several GPUs this process's own
        self.console = Console(quiet=not self.accelerator.is_main_process)
        if self.device.type == "cpu":
            self.encoder.compute_dtype = self.precision
        if config.gradient_checkpointing:
            checkpoint_gradients(self.encoder)
        freeze(self.encoder, config.freeze_patch_embedding, config.freeze_blocks)
        self.mixing.try_out(self.encoder)
        # -- the photos -----------------------------------------------------------------------------------------
        self.splits = load_splits(config)
        self.augmented = load_augmented(config.augmented_dir, self.splits, takes_soft_labels(config.loss))
        self.photos = TrainingSet(self.splits.train, self.augmented)
        read = masked_reader(
            self.encoder.spec.preprocessing,
            self.splits.train.root,
            config.plate_boxes,
            config.plate_detector,
            config.plate_mask_probability,
            config.seed,
        )
        self.train_loader = self._loader(self.photos.files, read)
        on_pairs = ValidationSettings(
            config.val_pairs_per_class,
            config.positive_ratio,
            config.margin,
            config.positive_margin,
            config.threshold,
            config.seed,
        )
        self.validator = Validator(self.splits.val, self._loader, self._embed, on_pairs)
        self.augment = OnlineAugmentation(
            config.flip_probability if config.flip else 0.0,
            config.brightness if config.jitter else 0.0,
            config.contrast if config.jitter else 0.0,
            config.random_crop,
            config.random_erasing,
        )
        self._prepare_learning()

    def _prepare_learning(self) -> None:
        """Loss, optimiser, and the checkpoints that keep the state of both."""
        from siamclip.training.losses import make_loss
        from siamclip.training.optimisation import make_optimizer, parameter_groups, proxy_groups
        from siamclip.training.run.run_checkpoints import RunCheckpoints
        from siamclip.training.run.state import TrainingState, photos_fingerprint

        config, splits = self.config, self.splits
        balanced = config.positive_ratio if config.batching == "identities" else None
        classes, dimension = len(splits.train.identities), self.encoder.spec.dimension
        loss = make_loss(config.loss, config.margin, config.positive_margin, balanced, classes, dimension)
        groups = parameter_groups(self.encoder, config.learning_rate, config.weight_decay, config.layer_decay)
        proxies = proxy_groups(loss, config.learning_rate)
        optimizer = make_optimizer(config.optimizer, groups + proxies)
        self.model, self.optimizer = self.accelerator.prepare(self.encoder, optimizer)
        self.loss = self.accelerator.prepare(loss) if proxies else loss
        self.state = TrainingState(self.encoder, self.optimizer, loss, self.accelerator.scaler)
        fingerprints = [photos_fingerprint(side.root, side.paths) for side in (splits.train, splits.val)]
        fingerprints += [images.fingerprint for images in self.augmented]
        self.checkpoints = RunCheckpoints(
            Path(config.checkpoint_dir) / self.name, self.state, fingerprints, self._about_the_run
        )

    def _loader(self, files: Sequence[Path], read: Callable[[Path, int], np.ndarray] | None = None) -> PhotoLoader:
        """With its share of the memory for decoded photos. read: by default the encoder's preprocessing."""
        from siamclip.data.loader import PhotoLoader

        share = len(files) / (len(self.photos) + len(self.splits.val))
        cache_bytes = int(self.config.cache_gb * share * 2**30)
        load = read or (lambda file, _: self.encoder.spec.preprocessing.load(file))
        return PhotoLoader(files, load, self.config.num_workers, cache_bytes)

    # -- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All epochs that are left. Epoch 0 measures the pretrained weights."""
        from siamclip.cli.yaml_settings import as_yaml
        from siamclip.training.run.log import RunLog
        from siamclip.training.run.progress import TrainingProgress

        config, state = self.config, self.state  # which replaces its `progress` by the main process's
        introduce(self)
        self.splits.val = self.validator.drop_unreadable()
        is_main = self.accelerator.is_main_process
        log = RunLog(Path(config.log_dir) / self.name, state.progress.step) if is_main else None
        if log:
            log.settings(as_yaml(config))
        if not state.progress.history:
            self._validate_and_save(log, {})
        with TrainingProgress(self.console) as self.bar:
            while not state.progress.is_over(config.num_epochs, config.early_stopping_patience):
                means = self._train_epoch(log)
                state.progress.epoch, state.progress.batch, state.progress.sums = state.progress.epoch + 1, 0, {}
                self._validate_and_save(log, means)
        if log:
            self._finish()
            log.close()

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
            self.bar.advance(len(photos), progress.means().get("loss"))
            if in_step + 1 < batches_in_step:
                continue
            self._optimizer_step(steps)
            if log:
                log.step(progress.step, progress.means())
            if time.monotonic() - last_save > 60 * config.save_every_minutes:
                # The processes look at their own clocks: nobody may wait for the others here.
                if self.accelerator.is_main_process:
                    self.checkpoints.save_last()
                last_save = time.monotonic()
        return progress.means()

    def _batches(self) -> list[Batch]:
        """This process's batches of the epoch under way; the same whenever it is asked for them."""
        import numpy as np

        from siamclip.device import from_main_process

        config, state = self.config, self.state
        rng = np.random.default_rng([config.seed, state.progress.epoch])
        if config.batching == "identities":
            batches = self.photos.identity_batches(config.batch_size, config.photos_per_class, rng)
        else:
            if config.negatives == "hard" and state.progress.batch == 0:
                embeddings = self._embed(self.train_loader)
                state.neighbours = from_main_process(self.photos.hard_negatives(embeddings, config.hard_pool))
            batches = self.photos.pair_batches(
                config.batch_size, config.samples_per_class, config.positive_ratio, rng, state.neighbours
            )
        processes = self.accelerator.num_processes
        if len(batches) < processes:
            problem = f"{processes} processes share {len(batches)} batches"
            raise UserError("batch_size", problem, "lower it", config.batch_size)
        return batches[self.accelerator.process_index : len(batches) - len(batches) % processes : processes]

    def _backward(self, batch: Batch, photos: np.ndarray, share: float) -> None:
        """Add a batch's share of a step's gradient: each photo is encoded once, however many of the pairs use it."""
        import numpy as np
        import torch

        from siamclip.augmentation.mix.features import mixed_inside
        from siamclip.training.images.mixing import current_features

        if not len(batch.pairs):
            return
        progress = self.state.progress
        # Whatever draws at random below starts from a seed of its own: a resumed run draws the same.
        seeds = [self.config.seed, progress.epoch, progress.batch, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        rng = np.random.default_rng(seeds)
        pixels = self.augment(torch.from_numpy(photos).to(self.device), rng)
        features = partial(current_features, self.encoder, self.device, self.precision)
        pixels, mixed = self.mixing(pixels, features, rng)
        pairs = self.photos.pairs_of(batch, mixed.partner.cpu().numpy(), mixed.share.cpu().numpy())
        labels = torch.from_numpy(self.photos.labels.hardened[batch.photos]).to(self.device)
        with mixed_inside(self.encoder, mixed):  # until gradients are there: checkpointed blocks run again for them
            embeddings = self.model(self.encoder.spec.preprocessing.normalise(pixels))
            loss = self.loss(embeddings, labels, pairs)
            if not torch.isfinite(loss.value):
                raise diverged(self, f"the loss became {loss.value.item()}")
            self.accelerator.backward(loss.value * share)
        progress.add({"loss": loss.value.item(), "active_negatives": loss.active_negatives})

    def _optimizer_step(self, steps: int) -> None:
        """One step of the `steps` that an epoch has."""
        from siamclip.learning_rate import learning_rate_factor

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

    # -- after an epoch ---------------------------------------------------------------------------------------

    def _embed(self, loader: PhotoLoader) -> np.ndarray:
        """float32 (N, D) of the loader's photos by the weights as they are now; rows of NaN for unreadable ones."""
        from siamclip.embedding.embedder import embed_loaded

        self.encoder.eval()
        return embed_loaded(self.encoder, loader, self.device, self.precision)

    def _validate(self) -> Validation:
        try:
            return self.validator()
        except FloatingPointError as error:
            raise diverged(self, str(error)) from None

    def _validate_and_save(self, log: RunLog | None, means: Row) -> None:
        """The end of an epoch, whose training gave `means`."""
        from siamclip.device import from_main_process
        from siamclip.training.run.progress import epoch_line, warnings

        config, state = self.config, self.state
        if self.accelerator.is_main_process:
            progress = state.progress
            found = self._validate()
            row = {"epoch": float(progress.epoch), **means, **found.metrics}
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
        state.progress = from_main_process(state.progress)
        if self.accelerator.is_main_process:
            self.checkpoints.save_last()
        self.accelerator.wait_for_everyone()
        if log:
            log.epoch(state.progress.history, state.progress.step)
            log.skipped(self._left_out())

    def _finish(self) -> None:
        """Blend the best weights with the pretrained ones as validation likes best, and say what came out."""
        from siamclip.models import checkpoint
        from siamclip.training.run.progress import final_table

        folder = self.checkpoints.folder
        if self.config.wise_ft:
            alpha = self.checkpoints.blend_best(self.pretrained, self._validate, self.config.positive_ratio)
            self.console.print(f"WiSE-FT: {alpha:.1f} of the fine-tuned and {1 - alpha:.1f} of the pretrained weights")
        self.console.print(final_table(self.state.progress.history[0], checkpoint.read_metadata(folder / "best")))
        say(self, f"next: python evaluate.py --checkpoint {folder} --data_dir {self.splits.train.root}")

    def _about_the_run(self) -> dict[str, Any]:
        """What checkpoints say of the run, besides weights, metrics and how far it has come."""
        from dataset import SPLITS

        return {
            "config": asdict(self.config),
            "data_dir": str(self.splits.train.root),
            "split": {name: getattr(self.splits, name).identities for name in SPLITS},
        }

    def _left_out(self) -> list[tuple[str, str]]:
        """(path, reason) of every file that is not trained or validated on."""
        found = [(self.photos.names[i], why) for i, why in self.train_loader.failures.items()]
        found += [(f"{images.folder}/{path}", why) for images in self.augmented for path, why in images.skipped]
        return found + self.validator.unreadable + [(file.path, file.reason) for file in self.splits.skipped]


# -- what is said -------------------------------------------------------------------------------------------------


def introduce(training: Training) -> None:
    """The sides of the split, what was left out, and what is trained."""
    from dataset import data_notes, data_table
    from siamclip.training.run.progress import weights_line

    config, console, progress = training.config, training.console, training.state.progress
    console.print(data_table(training.name, training.splits))
    for line in [*data_notes(training.splits), *(images.note() for images in training.augmented)]:
        console.print(printable(line), markup=False)
    if training.augmented and config.plate_boxes:
        console.print("--plate_boxes knows photos alone: it hides no plate in augmented images")
    console.print(weights_line(training.encoder, training.precision, training.device))
    if progress.is_over(config.num_epochs, config.early_stopping_patience):
        console.print(f"{training.name}: its {progress.epoch} epochs are done, nothing is left to train")


def say(training: Training, line: str) -> None:
    """A line to copy from: neither wrapped nor coloured."""
    training.console.print(line, highlight=False, markup=False, soft_wrap=True)


def diverged(training: Training, what: str) -> UserError:
    learning_rate, epoch = training.config.learning_rate, training.state.progress.epoch + 1
    problem, remedy = f"{what} in epoch {epoch}", "lower it, or set `precision` fp32"
    return UserError("learning_rate", problem, remedy, f"{learning_rate:g}")


if __name__ == "__main__":
    with exit_on_user_error():
        main()
