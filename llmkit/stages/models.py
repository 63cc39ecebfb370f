"""The model folders of a config by name: `model`, `tuned` or a compressed variant's name."""

from llmkit.config.schema import Config, to_data
from llmkit.console.callbacks import Warn
from llmkit.errors import ConfigError, InputError
from llmkit.stages.train import model_settings
from llmkit.store import artifacts, model_folder


def read(config: Config, name: str, warn: Warn) -> model_folder.ModelFolder:
    """Open a model of the config and check that it is not stale; other settings in the config only draw a warning.

    (A model keeps its own settings, so it runs as it was made, and overrides given to `train` alone are common.)
    Raises ConfigError for an unknown name and InputError for a missing, damaged or stale folder.
    """
    places = {"model": ("model", config.command("train")), "tuned": ("tuned", config.command("tune"))}
    places |= {
        variant: (f"compressed/{variant}", f"{config.command('compress')} {variant}")
        for variant in config.settings.compress
    }
    if name not in places:
        raise ConfigError(f"--model {name}: there is no such model; choose from {', '.join(places)}")
    place, command = places[name]
    folder = model_folder.read(config.run_dir / place, command, config.task)
    manifest = folder.artifact.manifest
    if manifest["stage"] == "compress":
        _check_original(config, folder, command)
        changed = artifacts.differences(manifest["settings"], {"variant": to_data(config.settings.compress[name])})
    elif manifest["stage"] == "train":
        changed = artifacts.differences(manifest["settings"], model_settings(config))
    else:
        changed = []
    if changed:
        warn(
            f"{folder.path} was made with other settings than the config has now ({'; '.join(changed[:3])}); "
            f"to make it again: {command}"
        )
    return folder


def _check_original(config: Config, folder: model_folder.ModelFolder, command: str) -> None:
    original = config.run_dir / folder.result.get("original", "model")
    if original.exists():
        now = artifacts.read(original, verify=False).hash
        if now != folder.artifact.manifest["parents"]["original"]:
            raise InputError(f"{folder.path} is stale: {original} has been made again since; run: {command}")
