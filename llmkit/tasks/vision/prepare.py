"""Files of pictures to arrays, with their labels, splits and what is learnt from training pictures.

In: the section `prepare` of the config. Out, in the folder `out`:

    pictures.npy     (pictures, H, H, C) uint8
    labels.npy       (pictures,) int32, the place in meta.json's list of labels
    split.npy        (pictures,) uint8: 0 train, 1 val, 2 test
    groups.npy       (pictures,) int64, where some stay together in one split
    pixels.json      mean and deviation of each colour in the training split; mean.npy, its mean picture (`pixels.py`)
    baseline.npy     logistic regression, learnt from the training split (`baseline.py`)
    meta.json        labels, splits, sources

The same files, settings and seed give the same bytes. The pictures must fit into memory.
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import pictures as sources, prepared_folder, splits
from llmkit.data.copies import groups_of, warn_of_copies
from llmkit.data.files import find_files, hash_files
from llmkit.data.labels import number_classes, warn_of_missing
from llmkit.data.picture_sizes import Shape
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting.settings import Split
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.manifests import Source
from llmkit.tasks.vision import baseline, lists, pixels
from llmkit.tasks.vision.settings import SIZES, Prepare

PICTURES = "pictures.npy"
KEPT = "the files say which these are (prepare.split.keep); leave copies out, or set prepare.split.unique: true"


class Labelled(NamedTuple):
    """Pictures, the label of each, and what keeps some together in one split, where something does."""

    pictures: sources.Pictures
    labels: list[str]
    groups: list[str] | None
    splits: list[str] | None


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    prepared_folder.check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    if settings.resize and settings.size is None:
        raise ConfigError("prepare.resize: say to which size, from 16 to 128: prepare.size=64")
    if settings.split.unique and settings.split.group:
        raise ConfigError("prepare.split: unique and group are given; one of them decides")
    if settings.split_column and not settings.path:
        raise ConfigError("prepare.split_column: it is for lists of pictures; name their column of paths: prepare.path")
    if settings.split.group and not settings.path:
        _pattern(settings.split.group)


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    if settings.path:
        files = find_files(settings.files)
        return hash_files([*files, *dict.fromkeys(lists.read(files, settings).paths)])
    return hash_files([*sources.files_of(settings.files), *reading(settings).label_files])


def reading(settings: Prepare, bits: int | None = None) -> sources.Reading:
    """How the settings say that pictures are read; finds the files of labels. Raises InputError for none."""
    label_files = tuple(find_files(settings.labels)) if settings.labels else ()
    shape = Shape(settings.size, settings.resize, settings.colour, SIZES)
    return sources.Reading(settings.format, settings.label, label_files, shape, bits)


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    found = read_labelled(settings, None, progress, warn)
    names, numbers = number_classes(found.labels, "prepare.files")
    warn_of_missing(names, warn)
    of, test = _draw(found, numbers, settings, seed, out, warn)
    summary = prepared_folder.write(out, names, numbers, of, settings.split.val, test)
    prepared_folder.warn_of_rare(summary, warn)
    new_files.save_array(out / PICTURES, found.pictures.pixels)
    learnt = learn(found.pictures.pixels, numbers, of, len(names), found.pictures.bits, out)
    meta = {**summary, "size": learnt.edge, "colours": learnt.colours, "mean": learnt.mean, "sources": inputs(settings)}
    prepared_folder.write_meta(out, meta)
    return meta


def learn(pictures: np.ndarray, labels: np.ndarray, of: np.ndarray, count: int, bits: int, out: Path) -> pixels.Pixels:
    """Write what is learnt from the training split; `count` is that of the labels."""
    trained = pictures[of == 0]
    found, mean = pixels.learn(trained, bits)
    pixels.save(found, mean, out)
    new_files.save_array(out / baseline.FILE, baseline.learn(baseline.features(trained, found), labels[of == 0], count))
    return found


def read_labelled(
    settings: Prepare, files: list[Path] | None, progress: Progress, warn: Warn, bits: int | None = None
) -> Labelled:
    """The pictures that the settings name, or those of other `files`, with their labels. Raises InputError.

    `bits`: those of pictures of more than 8, where a model has learnt them.
    """
    how = reading(settings, bits)
    return (_listed if settings.path else _filed)(settings, how, files, progress, warn)


def pictures_of(prepared: Files, name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """(the pictures (N, H, H, C) of a split, their label numbers (N,), its name): validation where nothing tests."""
    examples, name = prepared_folder.examples_of(prepared, name)
    return prepared.array(PICTURES, mapped=True)[examples], prepared.array("labels.npy")[examples], name


def _listed(
    settings: Prepare, how: sources.Reading, files: list[Path] | None, progress: Progress, warn: Warn
) -> Labelled:
    listed = lists.read(files or find_files(settings.files), settings)
    if listed.labels is None:
        raise ConfigError("prepare.label: name the column of the label; pictures without one teach nothing")
    how = sources.Reading("pictures", "none", (), how.shape, how.bits)
    return Labelled(sources.read(listed.paths, how, progress, warn), listed.labels, listed.groups, listed.splits)


def _filed(
    settings: Prepare, how: sources.Reading, files: list[Path] | None, progress: Progress, warn: Warn
) -> Labelled:
    found = sources.read(files or sources.files_of(settings.files, warn), how, progress, warn)
    if found.labels is None:
        raise ConfigError(
            f"{found.places[0]}: nothing tells the label; let pictures lie in a folder for each label, name the column "
            "(prepare.label), files of labels (prepare.labels) or lists of pictures (prepare.path)"
        )
    groups = _groups(found.places, settings.split.group) if settings.split.group else None
    return Labelled(found, found.labels, groups, found.splits)


def _groups(places: list[str], pattern: str) -> list[str]:
    """What the pattern's parentheses hold in each place. Raises InputError where there is nothing."""
    compiled, groups = _pattern(pattern), []
    for place in places:
        match = compiled.search(place)
        if match is None:
            raise InputError(f"{place}: the pattern {pattern} (prepare.split.group) is not in it; change the pattern")
        groups.append(match[1] or "")
    return groups


def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"prepare.split.group: {pattern} is no regular expression ({error})") from error
    if compiled.groups != 1:
        raise ConfigError(f"prepare.split.group: {pattern} needs one pair of parentheses, around the group")
    return compiled


def _draw(
    found: Labelled, numbers: np.ndarray, settings: Prepare, seed: int, out: Path, warn: Warn
) -> tuple[np.ndarray, float]:
    """(the split (N,) uint8 of each picture, the share that tests); what stays together is written to groups.npy."""
    split = settings.split
    test, advice = split.test, prepared_folder.UNIQUE
    copies = groups_of(hashlib.blake2b(picture.tobytes()).digest() for picture in found.pictures.pixels)
    _warn_of_other_labels(copies, numbers, found.pictures.places, warn)
    if found.splits and split.keep and not (split.unique or split.group):
        of = _kept(found.splits, numbers, split.val, seed)
        test, advice = float((of == 2).mean()), KEPT
    else:
        groups = copies if split.unique else groups_of(found.groups) if found.groups else None
        of = prepared_folder.draw(out, numbers, groups, split.val, split.test, seed)
    warn_of_copies(copies, of, "pictures", advice, warn)
    return of, test


def _kept(found: list[str], numbers: np.ndarray, val: float, seed: int) -> np.ndarray:
    """The splits that the files have; where nothing validates, a share `val` of what trains."""
    of = np.array([splits.SPLITS.index(name) for name in found], np.uint8)
    if not (of == 1).any():
        trained = np.flatnonzero(of == 0)
        of[trained] = splits.stratified(numbers[trained], val, 0.0, seed)
    return of


def _warn_of_other_labels(copies: np.ndarray, numbers: np.ndarray, places: list[str], warn: Warn) -> None:
    """Say which pictures are copies of each other with different labels."""
    first: dict[int, int] = {}
    wrong = [
        (first[group], number)
        for number, group in enumerate(copies.tolist())
        if numbers[first.setdefault(group, number)] != numbers[number]
    ]
    if wrong:
        one, other = wrong[0]
        warn(f"{len(wrong):,} pictures have a copy of another label, such as {places[one]} and {places[other]}")
