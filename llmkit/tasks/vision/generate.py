"""`llmkit generate` for pictures: files in, labels and probabilities out."""

import glob
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data import pictures as sources
from llmkit.data.files import open_file
from llmkit.data.picture_files import ENDINGS
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting import output
from llmkit.predicting.output import items, show, summary
from llmkit.predicting.use import Classifier
from llmkit.store import new_files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
from llmkit.tasks.vision import pixels, use
from llmkit.tasks.vision.settings import Generate

__all__ = ["answer", "items", "requests", "show", "summary"]

STANDARD_INPUT = "standard input"
ARRAYS = (".npy", ".npz", ".idx", "-ubyte", ".gz")  # endings of files that hold many pictures


class Pictures(NamedTuple):
    """Pictures (N, H, H, C) uint8 as the model takes them, and where each was found."""

    pixels: np.ndarray
    places: list[str]


def requests(settings: Generate, folder: ModelFolder) -> Pictures:
    """The pictures of `prompt` and `prompt_file`. Raises ConfigError and InputError."""
    prompts, path = output.prompts_and_file(settings)
    if not prompts and not path:
        raise ConfigError("there are no pictures to predict; give --prompt picture.png, --prompt FOLDER or --prompt -")
    how, found = use.reading(pixels.read(folder)), []
    for prompt in prompts:
        found.append(_of_input(how) if prompt == "-" else _read(_files(prompt), how))
    if path and path.name.lower().endswith((*ARRAYS, *ENDINGS)):
        found.append(_read([path], how))
    elif path:
        with open_file(path) as file:
            found.append(_read(_named(file.read(), str(path)), how))
    return Pictures(np.concatenate([one.pixels for one in found]), [place for one in found for place in one.places])


def answer(
    model: Classifier[np.ndarray],
    requests: Pictures,
    settings: Generate,
    seed: int,
    warn: Warn,
    emit: Emit | None = None,
) -> Answers:
    """The labels of the pictures: {"predictions": [{file, label, probability, probabilities}], …}."""
    named: list[Json] = [{"file": place} for place in requests.places]
    mean = pixels.read_mean(model.folder, pixels.read(model.folder))
    return Answers(
        output.predict(model, requests.pixels, named, settings, seed, lambda: use.puzzles(requests.pixels, mean))
    )


def _read(files: list[Path], how: sources.Reading) -> Pictures:
    found = sources.read(files, how, lambda *report: None, lambda message: None)
    return Pictures(found.pixels, found.places)


def _files(prompt: str) -> list[Path]:
    """The files of a name, a folder or a glob. Raises InputError."""
    place = os.path.expanduser(prompt)
    if os.path.isfile(place):
        return [Path(place)]
    if os.path.isdir(place) or glob.has_magic(place):
        return sources.files_of(prompt)
    raise InputError(f"--prompt: there is no picture {prompt[:200]}; name a file, a folder or a glob")


def _of_input(how: sources.Reading) -> Pictures:
    """A picture on standard input or, where that is text, those whose files it names."""
    data = sys.stdin.buffer.read()
    if _is_text(data):
        return _read(_named(data, STANDARD_INPUT), how)
    with tempfile.TemporaryDirectory() as folder, new_files.in_memory(Path(folder, "picture"), data) as file:
        how = sources.Reading("pictures", how.label, (), how.shape, how.bits)
        try:
            return Pictures(_read([file], how).pixels, [STANDARD_INPUT])
        except InputError as error:
            raise InputError(str(error).replace(str(file), STANDARD_INPUT)) from error


def _named(data: bytes, where: str) -> list[Path]:
    """The picture files that lines of text name. Raises InputError."""
    if not _is_text(data):
        raise InputError(f"{where} holds neither names of picture files, one a line, nor pictures that can be read")
    files = []
    for number, line in enumerate(data.decode("utf-8-sig").splitlines(), 1):
        if line.strip():
            path = Path(os.path.expanduser(line.strip()))
            if not path.is_file():
                raise InputError(f"{where}, line {number}: there is no picture {line.strip()[:200]}")
            files.append(path)
    if not files:
        raise InputError(f"{where} names no picture; write the name of a file a line")
    return files


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
