"""What is trained: a task, its settings, the prepared data, the device. And the learner made of these."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.config.root import Root
from llmkit.config.schema import to_data
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.artifacts import Artifact
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks import TASKS, experiment
from llmkit.tasks.contract import Task
from llmkit.training.distributed import ALONE, Processes

if TYPE_CHECKING:
    from llmkit.training.devices import Hardware
    from llmkit.training.learner import Learner


@dataclass(frozen=True)
class Setup:
    """A training that has not begun. `settings` is the root section; `device` is auto, cpu or cuda."""

    settings: Root
    prepared: Artifact
    device: str = "auto"
    ui: Console = field(default_factory=lambda: Console(0))
    processes: Processes = field(default_factory=lambda: ALONE)

    @property
    def task(self) -> Task:
        return TASKS[self.settings.task]

    @property
    def work(self) -> Path:
        """The folder for what a run keeps beside its model."""
        return Path(self.settings.run_dir) / "work"


def require_torch() -> None:
    """Raise ConfigError with the command to run where the extra `train` is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "onnx", "optuna") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this stage needs {', '.join(missing)}; install them with: pip install '.[train]' in llmkit's own folder"
        )


def deciding(settings: Root) -> Json:
    """The keys that decide what a trained model is; how often the work is saved and shown does not."""
    train = to_data(settings.train)
    for key in ("checkpoint_steps", "checkpoint_minutes", "keep_checkpoints", "tensorboard"):
        del train[key]
    return {"model": to_data(settings.model), "train": train}


def start_folder(setup: Setup) -> ModelFolder | None:
    """The model folder of `train.start_from`, verified, or None. Raises InputError and ConfigError."""
    path = setup.settings.train.start_from
    if path is None:
        return None
    folder = experiment.read_model(path)
    accepted = setup.task.settings.STARTS_FROM
    if folder.task not in accepted:
        wanted = " or ".join(accepted)
        raise InputError(f"{path} is a model of task {folder.task}, not {wanted}; name a model of task {wanted}")
    if not folder.trainable:
        raise ConfigError(f"train.start_from: {path} has no float weights to train on; name a trainable model folder")
    return folder


def hardware(setup: Setup) -> "Hardware":
    """The device and number type that a training computes with. Raises ConfigError where there are none such."""
    from llmkit.training import devices

    device = setup.processes.own_device(devices.choose(setup.device))
    return devices.Hardware(device, devices.number_type(setup.settings.train.number_type, device))


def faster_type(setup: Setup) -> str | None:
    """A sentence where a second's measurement finds another number type far faster than the one that auto takes.

    Only where the clock decides anyway, with a budget in minutes, and the processor has both types.
    """
    from llmkit.training import processors

    train, chosen = setup.settings.train, hardware(setup)
    if train.number_type != "auto" or train.budget[0] != "max_minutes" or chosen.device.type != "cpu":
        return None
    if not setup.processes.leads or not processors.this().computes_in_bfloat16:
        return None
    return processors.slower_choice(chosen.number_type, processors.speeds())


def learner(setup: Setup) -> "Learner":
    """The task's learner, its weights random or those of `train.start_from`. Raises ConfigError and InputError."""
    from llmkit.training import devices

    with devices.explained_memory(setup.settings.train.batch_size, to_data(setup.settings.model)):
        made = setup.task.train.learner(setup.prepared, setup.settings, hardware(setup), setup.ui.warn)
    if start := start_folder(setup):
        made.start_from(start)
    return made


def fingerprint(setup: Setup) -> Json:
    """What must be the same for a checkpoint to be gone on from."""
    found = deciding(setup.settings) | on_machine(hardware(setup))
    found |= {"seed": setup.settings.seed, "prepared": setup.prepared.hash}
    if start := start_folder(setup):
        found["start_from"] = start.artifact.hash
    if setup.processes.count > 1:
        found["processes"] = setup.processes.count
    return found


def on_machine(hardware: "Hardware") -> dict[str, str]:
    """What of the machine decides the outcome of a training."""
    import torch

    return {
        "device": hardware.device.type,
        "number_type": str(hardware.number_type),
        "torch": torch.__version__,
    }
