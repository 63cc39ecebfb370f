"""The kinds of models that llmkit makes: one folder each, no task imports another.

What a task's modules offer is said by `contract.py`; a config file becomes a task and its settings in `experiment.py`.
Adding a task: docs/adding_a_task.md.
"""

from llmkit.tasks.contract import Task

NAMES = ("language", "classify", "table", "vision", "image", "translate", "series")
TASKS = {name: Task(name, f"llmkit.tasks.{name}") for name in NAMES}
