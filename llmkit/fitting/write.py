"""A trained model into its folder."""

from llmkit.fitting import card
from llmkit.fitting.fit import Fitted
from llmkit.store import artifacts, model_folder, new_files
from llmkit.store.artifacts import Artifact
from llmkit.store.manifests import Identity
from llmkit.store.model_folder import CARD, METRICS, Role
from llmkit.tasks.experiment import Experiment

DECIDING = ("prepare.", "model.", "train.")


def write_model(
    folder: artifacts.Folder,
    experiment: Experiment,
    fitted: Fitted,
    prepared: Artifact,
    identity: Identity,
    beside: dict[str, str] | None = None,
) -> Artifact:
    """Fill a folder being built with a trained model (and text files `beside` it) and put it in place.

    `identity`: what the folder is made from.
    """
    import onnx
    import torch

    from llmkit.training import metrics_file

    roles = model_folder.write(folder.path, fitted.graph, fitted.weights, experiment.settings, fitted.files)
    metrics_file.copy_without_clock(fitted.metrics_file, folder.path / METRICS)
    # The keys alone: a value is in config.yaml, and a path is nobody else's business.
    told = sorted({override.split("=")[0] for override in experiment.overrides if override.startswith(DECIDING)})
    text = card.trained(experiment, prepared.manifest, fitted.result)
    texts = {CARD: text, **(beside or {})}
    for name, content in texts.items():
        new_files.write_text(folder.path / name, content, errors="backslashreplace")
    return folder.finish(
        **identity,
        task=experiment.task.name,
        result=fitted.result | ({"overrides": told} if told else {}),
        versions={"torch": torch.__version__, "onnx": onnx.__version__},
        roles=roles | dict.fromkeys((METRICS, *texts), Role.RECORD),
    )
