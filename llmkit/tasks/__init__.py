"""The kinds of models that llmkit makes: one folder each, no task imports another.

What a task's modules offer is said by `contract.py`; a config file becomes a task and its settings in `experiment.py`.
Adding a task: docs/adding_a_task.md.
"""

from llmkit.tasks.contract import Task

TASKS = {
    name: Task(name, f"llmkit.tasks.{name}")
    for name in ("language", "classify", "table", "image", "translate", "series")
}
