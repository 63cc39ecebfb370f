"""YAML text to plain data with the line of every key, and back. Stricter and plainer than PyYAML's loader.

Differences to `yaml.safe_load`, each a trap that users fell into: `1e-4` is a number (YAML 1.2), `no` and
`on` are text, a key that stands twice is refused, merge keys (`<<`) and tags are refused, numbers are
finite.
"""

import math
import re
from typing import ClassVar

import yaml

from llmkit.errors import ConfigError

Path = tuple[str | int, ...]
MAX_NODES = 100_000  # aliases may multiply a small file; a config never needs this many
MAX_DEPTH = 50  # an alias may stand inside itself; a config never goes this deep
MAX_DIGITS = 1_000  # of a whole number; Python refuses more than 4,300

_NUMBERS = {
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


class _Tag(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """SafeLoader whose plain scalars follow the YAML 1.2 core schema, without tags."""

    yaml_implicit_resolvers: ClassVar[dict[str, object]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise _Tag(problem=f"the tag {tag} is not supported; leave it out", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes text which YAML 1.2 reads as a number, such as "1e5"."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # PyYAML folds the line ends of Unicode, which it reads back as spaces, unless they are escaped.
        style = '"' if re.search("[\x85\u2028\u2029]", data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)

for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", _NUMBERS["int"], [*"-+0123456789"]),
    ("float", _NUMBERS["float"], [*"-+.0123456789"]),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def parse(text: str, name: str, numbered: bool = True) -> tuple[object, dict[Path, int]]:
    """Plain data of a YAML document and the 1-based line of every key and list item.

    `name` stands for the text in messages (a file name), the line after it if `numbered`. Raises ConfigError.
    """
    lines: dict[Path, int] = {}
    reader = _Reader(name, lines, numbered)
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        problem = (error.problem or error.context or "").removeprefix("but ")
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        start = "" if isinstance(error, _Tag) else "not valid YAML: "
        raise reader.fail(line, start + problem) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise reader.fail(line, f"not valid YAML: it holds the character U+{error.character:04X}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: nested more than {MAX_DEPTH} levels deep") from error
    return (None if root is None else reader.value(root, ())), lines


def parse_value(text: str, name: str) -> object:
    """The value of an override such as `train.learning_rate=1e-4`: one YAML value.

    What would begin a block of several lines (">= 0.8") is text, since an override is one line.
    """
    if text.lstrip().startswith((">", "|")):
        return text.strip()
    return parse(text, name, numbered=False)[0]


def dump(data: object) -> str:
    """YAML of plain data, keys in their order, that `parse` and other YAML readers take back as it was."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Reader:
    def __init__(self, name: str, lines: dict[Path, int], numbered: bool):
        self.name, self.lines, self.numbered, self.nodes = name, lines, numbered, 0

    def fail(self, place: yaml.Node | int, message: str) -> ConfigError:
        line = place if isinstance(place, int) else place.start_mark.line + 1
        return ConfigError(f"{self.name}:{line}: {message}" if self.numbered else f"{self.name}: {message}")

    def value(self, node: yaml.Node, path: Path) -> object:
        """Plain data of any node; the lines of what is in it are noted under `path`."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.fail(node, f"more than {MAX_NODES:,} values; is an alias repeated again and again?")
        if len(path) > MAX_DEPTH:
            raise self.fail(node, f"nested more than {MAX_DEPTH} levels deep; is an alias inside itself?")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = []
            for i, child in enumerate(node.value):
                self.lines[(*path, i)] = child.start_mark.line + 1
                items.append(self.value(child, (*path, i)))
            return items
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        """A dict whose keys are plain text and stand once."""
        result: dict[str, object] = {}
        for key_node, child in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise self.fail(key_node, "a key must be plain text")
            if key == "<<":
                raise self.fail(key_node, "merge keys (<<) are not supported; write the keys out")
            if key in result:
                first = self.lines[(*path, key)]
                raise self.fail(key_node, f"duplicate key {key!r}, first given on line {first}; keep one")
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            result[key] = self.value(child, (*path, key))
        return result

    def scalar(self, node: yaml.Node) -> str | float | bool | None:
        """Text, a finite number, true, false or null."""
        kind = node.tag.rsplit(":", 1)[-1]
        text = node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > MAX_DIGITS:
                raise self.fail(node, f"a number of more than {MAX_DIGITS:,} digits")
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if kind == "float":
            number = math.inf if text[-1] in "fFnN" else float(text)  # .inf, .nan
            if not math.isfinite(number):
                raise self.fail(node, f"{text} is not a finite number")
            return number
        return text
