"""`llmkit prepare`: raw files -> RUN_DIR/prepared. What is read and written inside is the task's affair."""

import time
from typing import Any

from llmkit import tasks
from llmkit.config.schema import Config, to_data
from llmkit.console.messages import Console
from llmkit.stages import freshness
from llmkit.store import artifacts


def prepare(config: Config, *, force: bool = False, dry_run: bool = False, ui: Console | None = None) -> dict[str, Any]:
    """Prepare the data; returns the task's summary. Reads the files of `prepare.files`, writes RUN_DIR/prepared.

    Raises ConfigError and InputError.
    """
    ui = ui or Console(0)
    task = tasks.module(config.task, "prepare")
    settings = config.settings.prepare
    place, work = config.run_dir / "prepared", config.run_dir / "work"
    task.check(settings)
    wanted = freshness.Wanted(
        "prepare", {"prepare": to_data(settings)}, config.settings.seed, inputs=task.inputs(settings)
    )
    found, why = freshness.reasons(place, wanted)
    if found and not why and not force:
        return {"stage": "prepare", "folder": str(place), "up_to_date": True, **freshness.stored(found, work)}
    if dry_run:
        return {"stage": "prepare", "folder": str(place), "dry_run": True, "would_run": why or ["--force"]}
    ui.detail(f"making {place}: {'; '.join(why) or '--force'}")
    with artifacts.lock(config.run_dir, config.command("prepare")), artifacts.building(place) as folder:
        start = time.monotonic()
        result = task.prepare(settings, config.settings.seed, folder.path, work, ui.progress, ui.warn)
        ui.close()
        artifact = folder.finish(
            stage="prepare",
            task=config.task,
            settings=wanted.settings,
            seed=wanted.seed,
            inputs=wanted.inputs,
            result=result,
        )
        timings = {"seconds": time.monotonic() - start}
        freshness.store_timings(artifact, work, timings)
    return {"stage": "prepare", "folder": str(place), **result, **timings}
