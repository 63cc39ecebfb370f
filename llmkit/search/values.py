"""Searched keys and their values: checks before anything runs, and the config of a trial.

In: a config and values such as {"train.learning_rate": 0.01}. Out: the config with those values and, for a trial, with
the trial's budget.
"""

import math

from llmkit.config.schema import closest, to_data
from llmkit.config.training import Training
from llmkit.config.tune import DEFAULT_TRIAL_BUDGET, Range
from llmkit.errors import ConfigError
from llmkit.tasks import experiment as experiments
from llmkit.tasks.experiment import Experiment

Values = dict[str, object]
"""{searched key: its value}, for example {"train.learning_rate": 0.01}."""

LOOKS = 4  # points of a trial at which it is compared with the others; the last one is its end


def check(experiment: Experiment) -> None:
    """Refuse keys that are not there and values that they do not take. Raises ConfigError.

    The config's own values must be among those searched: they are the first trial, and what is found is compared
    with them.
    """
    own = own_values(experiment)
    for key, values in experiment.settings.tune.search.items():
        problem = f"{experiment.path}: tune.search: {key}"
        if key.split(".")[0] not in ("model", "train"):
            raise ConfigError(f"{problem}: only keys of model and train can be searched")
        if key in [f"train.{name}" for name in Training.one_of]:
            raise ConfigError(f"{problem}: a budget cannot be searched: the largest would win")
        for value in values.choices or (values.low, values.high):
            try:
                with_values(experiment, {key: value})
            except ConfigError as error:
                message = str(error).removeprefix(f"{experiment.path}: ")
                raise ConfigError(f"{experiment.path}: tune.search: {message}") from error
        if own[key] is None and None not in (values.choices or []):
            raise ConfigError(f"{problem}: the config leaves it open; give it a value, with which the search begins")
        if not _has(values, own[key]):
            raise ConfigError(f"{problem}: {_described(values)} leave out the config's own {own[key]}; widen them")


def own_values(experiment: Experiment) -> Values:
    """The config's own values of the searched keys, None for a key that is not there."""
    data = to_data(experiment.settings)
    found = {}
    for key in experiment.settings.tune.search:
        value: object = data
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        found[key] = value
    return found


def with_values(experiment: Experiment, values: Values) -> Experiment:
    """The config with some keys (`train.learning_rate`) set to other values. Raises ConfigError."""
    data = to_data(experiment.settings)
    for key, value in values.items():
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            section = section.get(parent, {}) if isinstance(section.get(parent, {}), dict) else {}
        if last not in section:
            raise ConfigError(f"{key}: there is no such key{closest(last, section)}")
        section[last] = value
    return experiments.from_data(data, experiment.path)


def trial_experiment(experiment: Experiment, values: Values) -> Experiment:
    """A trial's config: some keys set, and the budget of a trial.

    A budget in steps is validated after each LOOKS-th of it, so that all trials are compared at the same steps.
    """
    chosen = with_values(experiment, values)
    data = to_data(chosen.settings)
    tune, (kind, amount) = experiment.settings.tune, chosen.settings.train.budget
    if tune.trial_steps is not None:
        kind, part = "steps", float(tune.trial_steps)
    else:
        part = amount * (tune.trial_budget or DEFAULT_TRIAL_BUDGET)
    data["train"] |= dict.fromkeys(Training.one_of)
    data["train"]["tensorboard"] = False  # a trial's folder is gone when it ends
    data["train"][kind] = part
    if kind == "steps":
        steps = data["train"]["steps"] = max(1, round(part))
        data["train"]["validation_steps"] = chosen.settings.train.validation_steps or math.ceil(steps / LOOKS)
    return experiments.from_data(data, experiment.path)


def _has(values: Range, own: object) -> bool:
    if values.choices is not None:
        return own in values.choices
    assert values.low is not None and values.high is not None
    kinds = int if whole(values) else (int, float)
    return isinstance(own, kinds) and not isinstance(own, bool) and values.low <= own <= values.high


def whole(values: Range) -> bool:
    """Whether a range is one of whole numbers."""
    return isinstance(values.low, int) and isinstance(values.high, int)


def _described(values: Range) -> str:
    if values.choices is not None:
        return f"the choices {values.choices}"
    return f"the {'whole numbers' if whole(values) else 'numbers'} from {values.low} to {values.high}"
