"""Whole channels go: which are of least importance to a network of pictures, and what is left without them.

Channels of a stage are shared by all of its blocks (what a block adds is added to them); those inside of a block are
its own. They are judged by the sums of the absolute weights that write them times those that read them, after Li et
al., "Pruning filters for efficient ConvNets" (arXiv 1608.08710, section 3.1), who look at those that write alone. Every
stage keeps the same share of its channels, so that what is left is an ordinary network.
"""

import numpy as np
from msgspec import structs

from llmkit.errors import InputError
from llmkit.tasks.vision import graph
from llmkit.tasks.vision.network import STAGES
from llmkit.tasks.vision.settings import Config
from llmkit.tasks.vision.train import PictureLearner

Arrays = dict[str, np.ndarray]
STEP = 8  # channels: what a width is a multiple of


def units(settings: Config) -> int:
    """How many channels the first stage has."""
    return settings.model.width


def without_units(learner: PictureLearner, settings: Config, removed: float) -> tuple[Config, Arrays]:
    """The learner's network without about a share `removed` of each layer's channels, those of least importance.

    Returns settings and weights. Raises InputError where no narrower network is left.
    """
    width = settings.model.width
    kept = max(STEP, STEP * round((1 - removed) * width / STEP))
    if kept >= width:
        raise InputError(
            f"a network of model.width {width} cannot do without {100 * removed:.0f} % of its channels: widths are "
            f"multiples of {STEP}; remove more, or single weights (how: unstructured)"
        )
    _, arrays = graph.export(learner.network.eval())
    model = structs.replace(settings.model, width=kept)
    return structs.replace(settings, model=model), narrowed(arrays, settings.model.blocks, kept / width)


def units_for(student: PictureLearner, teacher: PictureLearner, settings: Config) -> Arrays | None:
    """What a student starts with that is its teacher with fewer channels: those of most importance.

    None where it differs in more. `settings` are the teacher's.
    """
    wide, narrow = teacher.network, student.network
    if narrow.width >= wide.width or narrow.blocks != wide.blocks:
        return None
    _, arrays = graph.export(wide.eval())
    return narrowed(arrays, wide.blocks, narrow.width / wide.width)


def narrowed(arrays: Arrays, blocks: int, share: float) -> Arrays:
    """The weights of the most important `share` of all channels, in the graph's layout."""
    read, written = _places(blocks)
    keep = {}
    for channels in dict.fromkeys(written.values()):
        scores = np.zeros(len(arrays[next(name for name in written if written[name] == channels)]))
        writes, reads = scores.copy(), scores.copy()
        for name, array in arrays.items():
            if written.get(name) == channels:
                writes += np.abs(array).sum(axis=(1, 2, 3))
            if read.get(name) == channels:
                reads += np.abs(array).sum(axis=1) if name == "last" else np.abs(array).sum(axis=(0, 2, 3))
        order = np.argsort(-writes * reads, kind="stable")
        keep[channels] = np.sort(order[: round(share * len(order))])
    found = {}
    for name, array in arrays.items():
        layer = name.removesuffix(".bias")
        if layer in written:
            array = array[keep[written[layer]]]
        if name in read:
            places = keep[read[name]]
            array = array[places] if name == "last" else array[:, places]
        found[name] = np.ascontiguousarray(array)
    return found


def _places(blocks: int) -> tuple[dict[str, str], dict[str, str]]:
    """(what each layer reads, what each writes): the channels of a stage, or those inside of a block, by a name."""
    read: dict[str, str] = {}
    written = {"stem": "stage 0"}
    for number in range(STAGES * blocks):
        stage, before = number // blocks, max(0, number - 1) // blocks
        part = f"body.{number}"
        read |= {f"{part}.first": f"stage {before}", f"{part}.around": f"stage {before}", f"{part}.second": part}
        written |= {f"{part}.first": part, f"{part}.second": f"stage {stage}", f"{part}.around": f"stage {stage}"}
    return read | {"last": f"stage {STAGES - 1}"}, written
