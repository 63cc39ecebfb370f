"""What the training loop drives for pictures: two networks, their two updates, the averaged generator, its measures.

The discriminator compares: a real picture is to look more real than a made one of the same label, and the generator
wants the opposite (relativistic pairing, Jolicoeur-Martineau, arXiv 1807.00734; with both gradient penalties, R1 on
real and R2 on made pictures, it converges where the plain loss does not: Huang et al., arXiv 2501.05441, section 2).
The penalties are taken every few steps and weighted as many times (lazy: Karras et al., arXiv 1912.04958, section 3.1).
Of the generator a running average is kept (Karras et al., arXiv 1710.10196, section 6.1); Adam has no momentum.

Validation makes as many pictures as there are validation pictures, always from the same latent numbers; the generator
of least Fréchet distance is the best one. (Not of least KID: on the digits, once that is near 0, its noise chose a
generator of an early step, 2.02 in Fréchet distance, where the last one had 1.41.)
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder
from llmkit.data.grid import columns_for, grid, png
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.predicting import labels as labellings
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder, Role
from llmkit.tasks.image import evaluate, features, graph, metrics as measures, prepare, use
from llmkit.tasks.image.feature_network import scaled
from llmkit.tasks.image.features import Features
from llmkit.tasks.image.network import Discriminator, Generator
from llmkit.tasks.image.settings import Config
from llmkit.training import from_weights, optimizer_state
from llmkit.training.augment import shifted
from llmkit.training.averages import Averages
from llmkit.training.batches import Batches
from llmkit.training.devices import Hardware
from llmkit.training.distributed import ALONE, Processes
from llmkit.training.learner import Export, Finish

MADE_AT_ONCE = 500
SHOWN = 100  # pictures in a sample grid, at most
SAMPLES = "samples.png"


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> "ImageLearner":
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    return ImageLearner(prepared, settings, hardware)


class ImageLearner:
    """A `training.learner.Learner` of two networks, of which the averaged generator is the model."""

    unit = "examples"

    def __init__(self, prepared: Files, settings: Config, hardware: Hardware):
        self.settings, self.hardware = settings.train, hardware
        device = hardware.device
        self.prepared = prepared
        pixels, _ = prepare.pictures_of(prepared, "train")
        of, labels = prepared.array("split.npy"), prepared.array("labels.npy")
        self.names = prepared_folder.read_meta(prepared)["labels"] if settings.model.conditional else []
        numbers = labels[of == 0].astype(np.int64) if self.names else np.zeros(len(pixels), np.int64)
        self.shares = np.bincount(numbers, minlength=max(1, len(self.names))) / len(numbers)
        self.pictures = torch.from_numpy(scaled(pixels)).to(device)
        self.labels = torch.from_numpy(numbers).to(device)
        edge, colours = pixels.shape[2:]
        sizes = settings.model
        self.generator = Generator(edge, colours, len(self.names), sizes.latent_size, sizes.width).to(device)
        self.discriminator = Discriminator(edge, colours, len(self.names), sizes.discriminator_width).to(device)
        self.averages = Averages(self.generator, self.settings.average)
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
        self.features = Features(prepared)
        self.reference = evaluate.validation_features(prepared, self.features)
        self.batches = Batches(np.arange(len(pixels)), min(self.settings.batch_size, len(pixels)), settings.seed)
        self.processes: Processes = ALONE
        self.count = 0
        self.step_count = self.batches.batch_size
        self.validation_count = len(self.reference)

    @property
    def epochs(self) -> float:
        return self.count / len(self.batches.examples)

    def distribute(self, processes: Processes) -> None:
        """Train on this process's part of each batch (`Learner`)."""
        self.batches.check_parts(processes, "pictures")
        self.processes = processes

    def step(self, rate: float, spent: float) -> Tensor:
        """One update of either network on the next batch; returns the sum of their losses."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        batch = self.batches.next()
        which = torch.from_numpy(batch[self.processes.part(len(batch))]).to(self.hardware.device)
        pictures, labels = self.pictures[which], self.labels[which]
        loss = self._judge(pictures, labels) + self._deceive(pictures, labels)
        self.averages.update()
        self.count += len(batch)
        return loss

    def _judge(self, real: Tensor, labels: Tensor) -> Tensor:
        """Update the discriminator: pictures (B, C, H, H) are to look more real than as many made ones."""
        with torch.no_grad(), self.hardware.autocast():
            made = self.generator(self._latents(len(real)), labels).float()
        pictures = torch.stack([self._shifted(real), self._shifted(made)])  # (2, B, C, H, H)
        penalized = self.settings.penalty > 0 and self.averages.updates % self.settings.penalty_every == 0
        pictures.requires_grad_(penalized)
        with self.hardware.autocast(enabled=not penalized):
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
        with self.hardware.autocast():
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

    def _latents(self, count: int) -> Tensor:
        return torch.randn(count, self.generator.latent_size, device=self.hardware.device)

    def _shifted(self, pictures: Tensor) -> Tensor:
        return shifted(pictures, self.settings.translate)

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """`val_loss` (Fréchet distance), `val_kid`, `val_precision` and `val_recall` of the averaged generator."""
        count = max(measures.NEIGHBOURS + 1, round(share * len(self.reference)))
        made = self._made(*use.drawn(count, evaluate.VALIDATION_SEED, self.generator.latent_size, self.shares))
        if made is None:
            return {"val_loss": float("nan")}
        found = evaluate.compare(self.reference[:count], self.features.of(made))
        return {"val_loss": found.pop("frechet_distance")} | {f"val_{name}": value for name, value in found.items()}

    @torch.no_grad()
    def _made(self, latents: np.ndarray, numbers: np.ndarray) -> np.ndarray | None:
        """Pictures (N, H, H, C) uint8 by the averaged weights; None where they are no numbers."""
        device = self.hardware.device
        with self.averages.in_network():
            parts = [
                self.generator(torch.from_numpy(some).to(device), torch.from_numpy(labels).to(device)).cpu()
                for some, labels in zip(
                    np.split(latents, range(MADE_AT_ONCE, len(latents), MADE_AT_ONCE)),
                    np.split(numbers, range(MADE_AT_ONCE, len(latents), MADE_AT_ONCE)),
                    strict=True,
                )
            ]
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
        return {} if made is None else {f"step-{self.averages.updates:08d}.png": png(grid(made, columns))}

    def weights(self) -> dict[str, Tensor]:
        return self.averages.tensors

    def trained_weights(self) -> dict[str, Tensor]:
        return self.generator.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.generator.load_state_dict(weights)
        self.averages.restart()

    def state(self) -> tuple[dict[str, Tensor], Json]:
        tensors: dict[str, Tensor] = {}
        for part, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            tensors |= {f"{part}.{name}": tensor for name, tensor in network.state_dict().items()}
            tensors |= optimizer_state.to_tensors(self.optimizers[part], f"{part}_optimizer")
        return tensors, {"batches": self.batches.state(), "count": self.count, "updates": self.averages.updates}

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        for part, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            start = f"{part}."
            network.load_state_dict({n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)})
            optimizer_state.from_tensors(self.optimizers[part], f"{part}_optimizer", tensors)
        self.batches.load_state(plain["batches"])
        self.count, self.averages.updates = plain["count"], plain["updates"]

    def start_from(self, folder: ModelFolder) -> None:
        """Take the generator of a trained model; the discriminator begins anew. Raises InputError where it is unfit."""
        if labellings.read(folder).labels != self.names:
            raise InputError(f"train.start_from: {folder.path} has learnt other labels than the prepared data has")
        unfit = "makes pictures of another size or colour, or has other sizes than the section model"
        with from_weights.started_from(folder, unfit):
            graph.from_arrays(self.generator, folder.weights())
        self.load_weights(self.generator.state_dict())

    def export(self) -> Export:
        """Graph and weights of the averaged generator, and the network that its pictures are judged by."""
        self.generator.load_state_dict(self.averages.tensors)
        judge = ModelFile(self.prepared.read_bytes(features.FILE), Role.EVALUATE)
        return Export(*graph.export(self.generator), {features.FILE: judge})

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """labels.json and a last grid of pictures; the metrics are those of the weights kept."""
        about = labellings.Labelling(self.names, shares=self.shares.tolist())
        files = {labellings.LABELS: ModelFile(about.to_bytes())}
        if shown := list(self.samples().values()):
            files[SAMPLES] = ModelFile(shown[0], Role.RECORD)
        found = {name: value for name, value in self.validate().items() if name != "val_loss"}
        return Finish(files, found | {"features_sha256": self.features.hash})
