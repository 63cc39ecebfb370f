"""The kinds of models that llmkit makes: one folder each, no task imports another.

A task is a package of plain functions in modules with fixed names, imported only when needed:
  settings  `Config`, the root section of its YAML; imports nothing heavy
  prepare   `prepare(...)`: raw files -> arrays and meta.json
  learn     `learner(...)`: prepared folder -> what the training loop drives (imports torch)
  compress  what pruning and distilling need; a task without it has quantization alone (imports torch)
  evaluate  `evaluate(...)`: the figures of a model folder (never imports torch)
  write     `generate(...)`: what a model makes or predicts, and how it is shown (never imports torch)
  use       `load(folder)`: model folder -> a model that generates, predicts, scores (never imports torch)
Adding a task: docs/adding_a_task.md.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

TASKS = {
    "language": "llmkit.tasks.language",
    "classify": "llmkit.tasks.classify",
    "table": "llmkit.tasks.table",
    "image": "llmkit.tasks.image",
}


def module(task: str, name: str) -> ModuleType:
    """A task's module by its fixed name, for example `module("language", "use")`."""
    return import_module(f"{TASKS[task]}.{name}")


def has(task: str, name: str) -> bool:
    """Whether a task has a module of this name."""
    return find_spec(f"{TASKS[task]}.{name}") is not None
