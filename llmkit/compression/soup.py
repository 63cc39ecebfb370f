"""A greedy soup: the average of the weights of models of one origin, each member only where it helps.

Wortsman et al., "Model soups" (arXiv 2203.05482, recipe 1): the members in the order of their own validation loss,
each kept where the average with it is better than the one without. So the soup is never worse than its best member.
"""

from dataclasses import replace

import numpy as np

from llmkit.compression.model import Job, Model, Record, validation_loss
from llmkit.errors import InputError
from llmkit.store.model_folder import ModelFolder


def check_origin(folders: list[ModelFolder]) -> None:
    """Raise InputError where models do not come from one start: the average of such weights is worth nothing.

    They do where all are one of them or were started from it (`train.start_from`) or compressed from it.
    """
    origins = []
    for folder in folders:
        parents = folder.artifact.manifest["parents"]
        start = {parents[name] for name in ("start_from", "original") if name in parents}
        origins.append(start | {folder.artifact.hash})
    if not set.intersection(*origins):
        raise InputError(
            f"{', '.join(str(folder.path) for folder in folders)} have no origin in common, so an average of their "
            "weights is worth nothing; start them from one model (train.start_from), or set how: distil"
        )


def check_sizes(members: list[Model], names: list[str]) -> None:
    """Raise InputError where members have weights of different shapes."""
    first = {name: array.shape for name, array in members[0].weights.items()}
    for member, path in zip(members, names, strict=True):
        shapes = {name: array.shape for name, array in member.weights.items()}
        if shapes != first:
            other = next(name for name in sorted(first | shapes) if first.get(name) != shapes.get(name))
            raise InputError(
                f"{path} and {names[0]} have other sizes ({other}: {shapes.get(other, 'none')} and "
                f"{first.get(other, 'none')}); a soup needs models of one size, how: distil takes any"
            )


def greedy(members: list[Model], names: list[str], job: Job) -> tuple[Model, Record]:
    """(the soup, a record of it): `names` are those of the members."""
    losses = []
    for member, name in zip(members, names, strict=True):
        losses.append(validation_loss(member, job))
        job.ui.info(f"{name}: val_loss {losses[-1]:.4f}")
    order = sorted(range(len(members)), key=lambda index: losses[index])
    kept, best = order[:1], losses[order[0]]
    found = members[order[0]]
    for index in order[1:]:
        tried = average([members[place] for place in (*kept, index)])
        loss = validation_loss(tried, job)
        job.ui.info(f"with {names[index]}: val_loss {loss:.4f}{' (kept)' if loss < best else ''}")
        if loss < best:
            kept, best, found = [*kept, index], loss, tried
    return found, {
        "members": names,
        "member_losses": losses,
        "kept": [names[index] for index in kept],
    }


def average(members: list[Model]) -> Model:
    """The first model with the mean of all members' weights."""
    weights = {}
    for name in members[0].weights:
        mean = np.mean([member.weights[name] for member in members], axis=0, dtype=np.float64)
        weights[name] = np.asarray(mean, np.float32)
    return replace(members[0], weights=weights)
