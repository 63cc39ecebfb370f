"""`llmkit prepare`: raw files -> RUN_DIR/prepared. What is read and written inside is the task's affair."""

import os
import time

from llmkit.console.messages import Console
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.stages import freshness
from llmkit.store import artifacts
from llmkit.store.manifests import Source
from llmkit.tasks.experiment import Experiment


def prepare(experiment: Experiment, *, force: bool = False, dry_run: bool = False, ui: Console | None = None) -> Json:
    """Prepare the data; returns the task's summary. Reads the files of `prepare.files`, writes RUN_DIR/prepared.

    Raises ConfigError and InputError.
    """
    ui = ui or Console(0)
    task, settings = experiment.task, experiment.settings.prepare
    place, work = experiment.run_dir / "prepared", experiment.work
    task.prepare.check(settings)
    inputs = task.prepare.inputs(settings)
    wanted = freshness.Wanted(
        "prepare", {"prepare": freshness.of_prepare(settings)}, experiment.settings.seed, inputs=inputs
    )
    present, why = freshness.reasons(place, wanted)
    if present and not why and not force:
        return {"stage": "prepare", "folder": str(place), "up_to_date": True, **freshness.stored(present, work)}
    if dry_run:
        return {"stage": "prepare", "folder": str(place), "dry_run": True, "would_run": why or ["--force"]}
    ui.detail(f"making {place}: {'; '.join(why) or '--force'}")
    with artifacts.lock(experiment.run_dir, experiment.command("prepare")), artifacts.building(place) as folder:
        start = time.monotonic()
        before = states(inputs)
        result = task.prepare.prepare(settings, wanted.seed, folder.path, work, ui.progress, ui.warn)
        ui.close()
        if changed := [path for path, state in states(inputs).items() if state != before[path]]:
            raise InputError(f"{changed[0]} was changed while it was read; run: {experiment.command('prepare')}")
        artifact = folder.finish(**wanted.identity, task=task.name, result=result)
        timings = {"seconds": time.monotonic() - start}
        freshness.store_timings(artifact, work, timings)
    return {"stage": "prepare", "folder": str(place), **result, **timings}


def states(inputs: list[Source]) -> dict[str, tuple[int, int] | None]:
    """{path: (bytes, time of the last change in nanoseconds)} of files; None for one that is gone."""
    found: dict[str, tuple[int, int] | None] = {}
    for source in inputs:
        try:
            about = os.stat(source["path"])
            found[source["path"]] = about.st_size, about.st_mtime_ns
        except OSError:
            found[source["path"]] = None
    return found
