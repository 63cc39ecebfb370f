"""What every task's evaluation shares: its settings, and requirements on figures.

`require: {bits_per_byte: "<= 2.3"}` compares a figure of the report with a number; one that is not met ends the
command with exit code 4.
"""

import operator
import re
from typing import Literal

from llmkit.config.schema import Section
from llmkit.errors import ConfigError
from llmkit.plain import Json

COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}
REQUIREMENT = re.compile(r"\s*(<=|>=|==|<|>)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")


class Evaluate(Section):
    """What is measured and what is required."""

    split: Literal["train", "val", "test"] = "test"
    """Split of the prepared data to score; validation where there is no test split."""
    require: dict[str, str] = {}
    """Figures that must hold, by their names in `evaluate --json`, for example {bits_per_byte: "<= 2.3"} or
    {accuracy: ">= 0.9"}; a miss ends with exit code 4."""

    def __post_init__(self) -> None:
        for figure, text in self.require.items():
            if not REQUIREMENT.fullmatch(text):
                raise ValueError(f'require.{figure}: {text!r} is not a comparison such as "<= 2.3"')


def unmet(require: dict[str, str], figures: Json) -> list[str]:
    """One line for each requirement that `figures` misses. Raises ConfigError for a figure that is not there."""
    lines = []
    for figure, text in require.items():
        match = REQUIREMENT.fullmatch(text)
        if match is None or type(figures.get(figure)) not in (int, float):
            known = ", ".join(name for name, value in figures.items() if type(value) in (int, float))
            problem = "has no value here" if figure in figures else "is no figure"
            raise ConfigError(f"evaluate.require: {figure!r} {problem}; there are: {known}")
        if not COMPARISONS[match[1]](figures[figure], float(match[2])):
            lines.append(f"{figure} is {figures[figure]:.5g}, required: {text.strip()}")
    return lines
