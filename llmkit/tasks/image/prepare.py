"""Files of pictures to arrays, their splits, and the network whose features evaluation compares.

In: the section `prepare` of the config. Out, in the folder `out`:

    pictures.npy     (pictures, H, H, C) uint8
    labels.npy       (pictures,) int32, the place in meta.json's list of labels; all 0 where there are none
    split.npy        (pictures,) uint8: 0 train, 1 val, 2 test
    features.onnx    learnt from the training split (`feature_network.py`); needs torch
    meta.json        labels, splits, sources

The same files, settings and seed give the same bytes on the same machine. The pictures must fit into memory.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import pictures as sources, prepared_folder
from llmkit.data.copies import groups_of, warn_of_copies
from llmkit.data.files import find_files, hash_files
from llmkit.data.labels import MOST_LABELS, number_labels
from llmkit.data.picture_sizes import Shape
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting.settings import Split
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.manifests import Source
from llmkit.tasks.image import features
from llmkit.tasks.image.settings import Prepare

PICTURES = "pictures.npy"
FEWEST = 16  # held-out pictures: figures of fewer say nothing


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    prepared_folder.check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    if settings.resize and settings.size is None:
        raise ConfigError("prepare.resize: say to which size: prepare.size=28 or prepare.size=32")


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    return hash_files([*sources.files_of(settings.files), *reading(settings).label_files])


def reading(settings: Prepare) -> sources.Reading:
    """How the settings say that pictures are read; finds the files of labels. Raises InputError for none."""
    label_files = tuple(find_files(settings.labels)) if settings.labels else ()
    shape = Shape(settings.size, settings.resize, settings.colour)
    return sources.Reading(settings.format, settings.label, label_files, shape)


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    _require_torch()
    found = sources.read(sources.files_of(settings.files, warn), reading(settings), progress, warn)
    names, numbers = _number_labels(found, warn)
    val, test = settings.split.val, settings.split.test
    groups = groups_of(hashlib.blake2b(picture.tobytes()).digest() for picture in found.pixels)
    of = prepared_folder.draw(out, numbers, groups if settings.split.unique else None, val, test, seed)
    warn_of_copies(groups, of, "pictures", prepared_folder.UNIQUE, warn)
    summary = prepared_folder.write(out, names, numbers, of, val, test)
    prepared_folder.warn_of_rare(summary, warn)
    for name, part in summary["splits"].items():
        if part["examples"] < FEWEST:
            raise InputError(
                f"the {name} split has {part['examples']} pictures, {FEWEST} are the least; add pictures or raise its "
                "share in prepare.split"
            )
    new_files.save_array(out / PICTURES, found.pixels)

    from llmkit.tasks.image import feature_network

    network = feature_network.learn(found.pixels[of == 0], numbers[of == 0] if names else None, seed, progress)
    edge, colours = found.pixels.shape[2:]
    feature_network.save(network, edge, colours, out / features.FILE)
    meta = {**summary, "size": edge, "colours": colours, "sources": inputs(settings)}
    prepared_folder.write_meta(out, meta)
    return meta


def pictures_of(prepared: Files, name: str) -> tuple[np.ndarray, str]:
    """(the pictures (N, H, H, C) of a split; its name): validation where there is no test split."""
    examples, name = prepared_folder.examples_of(prepared, name)
    return prepared.array(PICTURES, mapped=True)[examples], name


def _number_labels(found: sources.Pictures, warn: Warn) -> tuple[list[str], np.ndarray]:
    """(the different labels, sorted; the number (N,) of each picture's). None where all have the same one."""
    names, numbers = number_labels(found.labels or [])
    if len(names) > MOST_LABELS:
        raise InputError(
            f"{len(names):,} different labels for {len(found.places):,} pictures, at most {MOST_LABELS:,} are learnt; "
            "set prepare.label=none to learn without"
        )
    if len(names) < 2:
        if names:
            warn(f"all pictures have the label '{names[0]}': it is left out")
        return [], np.zeros(len(found.places), np.int32)
    return names, numbers


def _require_torch() -> None:
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"preparing pictures trains a small network for evaluation and needs {', '.join(missing)}; install them "
            "with: pip install '.[train]' in llmkit's own folder"
        )
