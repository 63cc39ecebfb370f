"""The model folders of a config by name: `model`, `tuned` or a compressed variant's name."""

from llmkit.config.schema import to_data
from llmkit.console.callbacks import Warn
from llmkit.errors import ConfigError, InputError
from llmkit.fitting.setup import deciding
from llmkit.stages import freshness
from llmkit.store import artifacts, manifests
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks import experiment as experiments
from llmkit.tasks.experiment import Experiment


def read(experiment: Experiment, name: str, warn: Warn) -> ModelFolder:
    """Open a model of the config and check that it is not stale; other settings in the config only draw a warning.

    A model keeps its own settings, so it runs as it was made. What its training was told by overrides is no difference.
    Raises ConfigError for an unknown name and InputError for a missing, damaged or stale folder.
    """
    places = {"model": ("model", experiment.command("train")), "tuned": ("tuned", experiment.command("tune"))}
    places |= {
        variant: (f"compressed/{variant}", f"{experiment.command('compress')} {variant}")
        for variant in experiment.settings.compress
    }
    if name not in places:
        raise ConfigError(f"--model {name}: there is no such model; choose from {', '.join(places)}")
    place, command = places[name]
    folder = experiments.read_model(experiment.run_dir / place, command, experiment.task)
    freshness.check_recipients(folder.artifact)
    manifest = folder.artifact.manifest
    if manifest["stage"] == "compress":
        _check_original(experiment, folder, command)
        changed = manifests.differences(manifest["settings"], {"variant": to_data(experiment.settings.compress[name])})
    elif manifest["stage"] == "train":
        changed = manifests.differences(manifest["settings"], deciding(experiment.settings))
        wanted = tuple(f"{key}:" for key in folder.result.get("overrides", []))
        changed = [line for line in changed if not line.startswith(wanted)]  # they were meant for that command alone
    else:
        changed = []
    if changed:
        warn(
            f"{folder.path} was made with other settings than the config has now ({'; '.join(changed[:3])}); "
            f"to make it again: {command}"
        )
    return folder


def _check_original(experiment: Experiment, folder: ModelFolder, command: str) -> None:
    original = experiment.run_dir / folder.result.get("original", "model")
    if original.exists():
        now = artifacts.read(original, verify=False).hash
        if now != folder.artifact.manifest["parents"]["original"]:
            raise InputError(f"{folder.path} is stale: {original} has been made again since; run: {command}")
