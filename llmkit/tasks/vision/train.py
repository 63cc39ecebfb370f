"""What the training loop drives for pictures: the prepared pixels in the shared learner of examples."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llmkit.console.callbacks import Warn
from llmkit.data import prepared_folder
from llmkit.errors import ConfigError
from llmkit.predicting import labels as labellings
from llmkit.predicting.learner import ExampleLearner, Examples, Shipping
from llmkit.predicting.objectives import Labels
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFile, ModelFolder, Role
from llmkit.tasks.vision import baseline, graph, pixels, prepare
from llmkit.tasks.vision.augment import Augment
from llmkit.tasks.vision.network import VisionNetwork
from llmkit.tasks.vision.pixels import Pixels
from llmkit.tasks.vision.settings import Config, Model, Train
from llmkit.training import from_weights
from llmkit.training.devices import Hardware
from llmkit.training.distributed import Processes

STATISTICS_OF = 512  # training pictures, by which the normalization of folded weights is set


class PictureLearner(ExampleLearner[VisionNetwork]):
    """The learner of examples, in one process: the normalization of several would differ."""

    def distribute(self, processes: Processes) -> None:
        raise ConfigError("task vision trains in one process; start it without torchrun")


def build(model: Model, of: Pixels, output_count: int, augment: Augment | None = None) -> VisionNetwork:
    """The network that the settings describe."""
    return VisionNetwork(
        of.edge,
        of.mean,
        of.deviation,
        output_count,
        width=model.width,
        blocks=model.blocks,
        dropout=model.dropout,
        augment=augment,
    )


def augmentation(train: Train) -> Augment:
    """How the settings say that training pictures are changed."""
    return Augment(train.shift, train.rotate, train.scale, train.flip, train.brightness, train.erase)


def learner(prepared: Files, settings: Config, hardware: Hardware, warn: Warn) -> PictureLearner:
    """The learner of a prepared folder, its weights initialised from the seed."""
    torch.manual_seed(settings.seed)
    of, names = pixels.read(prepared), prepared_folder.read_meta(prepared)["labels"]
    labels = prepared.array("labels.npy")
    pictures = torch.from_numpy(prepared.array(prepare.PICTURES)).to(hardware.device)
    train, val = (prepared_folder.examples_of(prepared, name)[0] for name in ("train", "val"))

    def inputs(examples: np.ndarray) -> Sequence[Tensor]:
        return [pictures[torch.from_numpy(examples).to(hardware.device)]]

    def start(network: VisionNetwork, folder: ModelFolder) -> None:
        start_from(network, folder, names, warn)
        graph.normalized_by(network, *inputs(train[:STATISTICS_OF]))

    files = {name: ModelFile(prepared.read_bytes(name)) for name in (pixels.FILE, pixels.MEAN)}
    files[baseline.FILE] = ModelFile(prepared.read_bytes(baseline.FILE), Role.EVALUATE)
    return PictureLearner(
        build(settings.model, of, len(names), augmentation(settings.train)),
        Examples(inputs, train, val),
        Labels(labels, names, train, settings.train, hardware.device),
        Shipping(graph.export, files, start),
        settings.train,
        settings.seed,
        hardware,
    )


def start_from(network: VisionNetwork, folder: ModelFolder, names: list[str], warn: Warn) -> None:
    """Take the weights of a model of pictures; the last layer begins anew where it has other labels.

    Raises InputError for one of other sizes.
    """
    arrays = folder.weights()
    if labellings.read(folder).labels != names:
        warn(f"train.start_from: {folder.path} has other labels; the last layer begins anew")
        own = network.last
        arrays |= {"last": own.weight.detach().cpu().numpy().T, "last.bias": own.bias.detach().cpu().numpy()}
    unfit = "has other sizes than the section model, or pictures of other colours"
    with from_weights.started_from(folder, unfit):
        graph.from_arrays(network, arrays)
