"""Names for plain data, what JSON and YAML hold: types only, for whoever passes such data on.

Where the keys are known and few, the module that makes the data has a `TypedDict` of its own; what is only looked at is
a `Mapping[str, object]` or an `object`.
"""

from typing import Any

Json = dict[str, Any]
"""An object of JSON, by its keys: a stage's result as `--json` prints it, settings as data, what a file holds.

Its values are text, numbers, true, false, None, lists and such objects; which of them a key has, its maker says.
"""
