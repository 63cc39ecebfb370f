"""What the training loop drives for pictures: two networks, their two updates, the averaged generator, its figures.

The discriminator compares: a real picture is to look more real than a made one of the same label, and the generator
wants the opposite (relativistic pairing, Jolicoeur-Martineau, arXiv 1807.00734; with both gradient penalties, R1 on
real and R2 on made pictures, it converges where the plain loss does not: Huang et al., arXiv 2501.05441, section 2).
The penalties are taken every few steps and weighted as many times (lazy: Karras et al., arXiv 1912.04958, section 3.1).
Of the generator a running average is kept (Karras et al., arXiv 1710.10196, section 6.1); Adam has no momentum.

Validation makes as many pictures as there are validation pictures, always from the same latent numbers; the generator
of least Fréchet distance is the best one. (Not of least KID: on the digits, once that is near 0, its noise chose a
generator of an early step, 2.02 in Fréchet distance, where the last one had 1.41.)
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.config.schema import to_data
from llmkit.data import prepared_folder
from llmkit.data.grid import columns_for, grid, png
from llmkit.errors import ConfigError, InputError
from llmkit.predicting.learner import Batches
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.image import evaluate, features, graph, metrics as figures, prepare, use
from llmkit.tasks.image.feature_network import scaled
from llmkit.tasks.image.features import Features
from llmkit.tasks.image.network import Discriminator, Generator
from llmkit.tasks.image.settings import Config
from llmkit.training import optimizer_state
from llmkit.training.augment import shifted
from llmkit.training.distributed import ALONE, Processes

MADE_AT_ONCE = 500
SHOWN = 100  # pictures in a sample grid, at most
SAMPLES = "samples.png"


def learner(
    prepared: Path, settings: Config, device: torch.device, number_type: torch.dtype, warn: Callable[[str], None]
) -> "ImageLearner":
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    return ImageLearner(prepared, settings, device, number_type)


class ImageLearner:
    """A `training.loop.Learner` of two networks, of which the averaged generator is the model."""

    unit = "examples"

    def __init__(self, prepared: Path, settings: Config, device: torch.device, number_type: torch.dtype):
        self.settings, self.device, self.number_type = settings.train, device, number_type
        self.prepared = prepared
        pixels, _ = prepare.pictures_of(prepared, "train")
        of, labels = np.load(prepared / "split.npy"), np.load(prepared / "labels.npy")
        self.names = prepared_folder.read_meta(prepared)["labels"] if settings.model.conditional else []
        numbers = labels[of == 0].astype(np.int64) if self.names else np.zeros(len(pixels), np.int64)
        self.shares = np.bincount(numbers, minlength=max(1, len(self.names))) / len(numbers)
        self.pictures = torch.from_numpy(scaled(pixels)).to(device)
        self.labels = torch.from_numpy(numbers).to(device)
        edge, colours = pixels.shape[2:]
        sizes = settings.model
        self.generator = Generator(edge, colours, len(self.names), sizes.latent_size, sizes.width).to(device)
        self.discriminator = Discriminator(edge, colours, len(self.names), sizes.discriminator_width).to(device)
        self.averaged = {name: tensor.detach().clone() for name, tensor in self.generator.state_dict().items()}
        self.optimizers = {
            name: torch.optim.AdamW(
                network.parameters(),
                self.settings.learning_rate,
                betas=(0.0, 0.99),
                weight_decay=self.settings.weight_decay,
                fused=True,
            )
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
        }
        self.features = Features(prepared / features.FILE)
        self.reference = evaluate.validation_features(prepared, self.features)
        self.batches = Batches(np.arange(len(pixels)), min(self.settings.batch_size, len(pixels)), settings.seed)
        self.processes: Processes = ALONE
        self.updates = 0
        self.count = 0
        self.step_count = self.batches.batch_size
        self.validation_count = len(self.reference)

    @property
    def epochs(self) -> float:
        return self.count / len(self.batches.examples)

    def distribute(self, processes: Processes) -> None:
        """Train on this process's part of each batch (`Learner`)."""
        smallest = len(self.batches.examples) % self.step_count or self.step_count
        if self.step_count % processes.count or smallest % processes.count:
            raise ConfigError(
                f"{len(self.batches.examples)} pictures in batches of {self.step_count} do not fall into equal parts "
                f"for {processes.count} processes; set another train.batch_size, or start one process"
            )
        self.processes = processes

    def step(self, learning_rate: float) -> Tensor:
        """One update of either network on the next batch; returns the sum of their losses."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        batch = self.batches.next()
        which = torch.from_numpy(batch[self.processes.part(len(batch))]).to(self.device)
        pictures, labels = self.pictures[which], self.labels[which]
        loss = self._judge(pictures, labels) + self._deceive(pictures, labels)
        self._average()
        self.count += len(batch)
        return loss

    def _judge(self, real: Tensor, labels: Tensor) -> Tensor:
        """Update the discriminator: pictures (B, C, H, H) are to look more real than as many made ones."""
        with torch.no_grad(), self._number_type():
            made = self.generator(self._latents(len(real)), labels).float()
        pictures = torch.stack([self._shifted(real), self._shifted(made)])  # (2, B, C, H, H)
        penalized = self.settings.penalty > 0 and self.updates % self.settings.penalty_every == 0
        pictures.requires_grad_(penalized)
        with self._number_type(enabled=not penalized):
            realness = self.discriminator(pictures, labels)  # (2, B)
        loss = F.softplus(realness[1] - realness[0]).mean()
        total = loss
        if penalized:
            [slope] = torch.autograd.grad(realness.sum(), pictures, create_graph=True)
            weight = 0.5 * self.settings.penalty * self.settings.penalty_every
            total = loss + weight * slope.square().sum(dim=(2, 3, 4)).mean(dim=1).sum()
        self._update("discriminator", self.discriminator, total)
        return loss.detach()

    def _deceive(self, real: Tensor, labels: Tensor) -> Tensor:
        """Update the generator: what it makes is to look more real than the pictures."""
        self.discriminator.requires_grad_(False)
        with self._number_type():
            with torch.no_grad():
                expected = self.discriminator(self._shifted(real)[None], labels)
            made = self.generator(self._latents(len(real)), labels).float()
            realness = self.discriminator(self._shifted(made)[None], labels)
        loss = F.softplus(expected - realness).mean()
        self._update("generator", self.generator, loss)
        self.discriminator.requires_grad_(True)
        return loss.detach()

    def _update(self, name: str, network: nn.Module, loss: Tensor) -> None:
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.processes.average_gradients(network.parameters())
        nn.utils.clip_grad_norm_(network.parameters(), self.settings.gradient_clip)
        self.optimizers[name].step()

    def _average(self) -> None:
        """Move the running average towards the weights; its decay grows with the steps, so the start is forgotten."""
        self.updates += 1
        decay = min(self.settings.average, self.updates / (self.updates + 9.0))
        present = self.generator.state_dict()
        for name, tensor in self.averaged.items():
            tensor.lerp_(present[name], 1 - decay)

    def _latents(self, count: int) -> Tensor:
        return torch.randn(count, self.generator.latent_size, device=self.device)

    def _shifted(self, pictures: Tensor) -> Tensor:
        return shifted(pictures, self.settings.translate)

    def _number_type(self, enabled: bool = True) -> torch.autocast:
        return torch.autocast(self.device.type, self.number_type, enabled=enabled and self.number_type != torch.float32)

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """`val_loss` (Fréchet distance), `val_kid`, `val_precision` and `val_recall` of the averaged generator."""
        count = max(figures.NEIGHBOURS + 1, round(share * len(self.reference)))
        made = self._made(*use.drawn(count, evaluate.VALIDATION_SEED, self.generator.latent_size, self.shares))
        if made is None:
            return {"val_loss": float("nan")}
        found = evaluate.compare(self.reference[:count], self.features.of(made))
        return {"val_loss": found.pop("frechet_distance")} | {f"val_{name}": value for name, value in found.items()}

    @torch.no_grad()
    def _made(self, latents: np.ndarray, numbers: np.ndarray) -> np.ndarray | None:
        """Pictures (N, H, H, C) uint8 by the averaged weights; None where they are no numbers."""
        trained = {name: tensor.detach().clone() for name, tensor in self.generator.state_dict().items()}
        self.generator.load_state_dict(self.averaged)
        parts = [
            self.generator(torch.from_numpy(some).to(self.device), torch.from_numpy(labels).to(self.device)).cpu()
            for some, labels in zip(
                np.split(latents, range(MADE_AT_ONCE, len(latents), MADE_AT_ONCE)),
                np.split(numbers, range(MADE_AT_ONCE, len(latents), MADE_AT_ONCE)),
                strict=True,
            )
        ]
        self.generator.load_state_dict(trained)
        made = torch.cat(parts)
        if not torch.isfinite(made).all():
            return None
        return ((made + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()

    def samples(self) -> dict[str, bytes]:
        """A grid of pictures by the present averaged generator, for people: {file name: bytes of a PNG}."""
        columns = columns_for(SHOWN, len(self.names))
        count = SHOWN // columns * columns
        numbers = np.resize(np.arange(max(1, len(self.names))), count)
        made = self._made(use.latents(1, count, self.generator.latent_size), numbers)
        return {} if made is None else {f"step-{self.updates:08d}.png": png(grid(made, columns))}

    def weights(self) -> dict[str, Tensor]:
        return self.averaged

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.generator.load_state_dict(weights)
        self.averaged = {name: tensor.detach().clone() for name, tensor in self.generator.state_dict().items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors: dict[str, Tensor] = {}
        for part, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            tensors |= {f"{part}.{name}": tensor for name, tensor in network.state_dict().items()}
            tensors |= optimizer_state.to_tensors(self.optimizers[part], f"{part}_optimizer")
        return tensors, {"batches": self.batches.state(), "count": self.count, "updates": self.updates}

    def load_state(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        for part, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            start = f"{part}."
            network.load_state_dict({n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)})
            optimizer_state.from_tensors(self.optimizers[part], f"{part}_optimizer", tensors)
        self.batches.load_state(plain["batches"])
        self.count, self.updates = plain["count"], plain["updates"]

    def start_from(self, folder: ModelFolder) -> None:
        """Take the generator of a trained model; the discriminator begins anew. Raises InputError where it is unfit."""
        about = json.loads((folder.path / use.LABELS).read_text(encoding="utf-8"))
        if about["labels"] != self.names:
            raise InputError(f"train.start_from: {folder.path} has learnt other labels than the prepared data has")
        try:
            graph.from_arrays(self.generator, folder.weights())
        except RuntimeError as error:
            raise InputError(
                f"train.start_from: {folder.path} makes pictures of another size or colour, or has other sizes than "
                f"the section model; take its sizes: {to_data(folder.config.settings.model)}"
            ) from error
        self.load_weights(self.generator.state_dict())

    def export(self) -> tuple[Any, dict[str, np.ndarray], dict[str, Path]]:
        """What a model folder holds: graph, weights by name and the task's own files."""
        self.generator.load_state_dict(self.averaged)
        return *graph.export(self.generator), {features.FILE: self.prepared / features.FILE}

    def finish(
        self, val_loss: float, folder: Path, progress: Callable[[str, int, int | None], None]
    ) -> tuple[dict[str, Path], dict[str, Any], list[str]]:
        """Write labels.json and a last grid of pictures; the figures are those of the weights kept."""
        about = {"labels": self.names, "shares": self.shares.tolist()}
        (folder / use.LABELS).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        files = {use.LABELS: folder / use.LABELS}
        for data in self.samples().values():
            (folder / SAMPLES).write_bytes(data)
            files[SAMPLES] = folder / SAMPLES
        found = {name: value for name, value in self.validate().items() if name != "val_loss"}
        return files, found | {"features_sha256": self.features.hash}, []
