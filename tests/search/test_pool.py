"""Worker processes: the number of trials is exact whatever dies, and nobody outlives the search.

Trials have a budget in time, so that there is time to kill them in whatever the speed of the machine.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmkit.console.messages import Console
from llmkit.errors import InputError
from llmkit.stages.tune import tune
from llmkit.tasks import experiment as experiments

ROOT = Path(__file__).parents[2]
OWN = {"train.learning_rate": 0.01}
SEARCH = [
    "tune.trials=3",
    "tune.workers=2",
    "tune.search={train.learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}}",
]
LONG = [*SEARCH, "train.steps=null", "train.max_minutes=0.025", "tune.trial_budget=1"]  # 1.5 seconds for a trial

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")


class Listener(Console):
    """Knows the worker processes; calls `under_way` at each progress of a trial."""

    def __init__(self):
        super().__init__(2)
        self.lines, self.processes = [], []

    def _line(self, message):
        self.lines.append(message)
        if found := re.match(r"worker \d+: process (\d+)", message):
            self.processes.append(int(found[1]))

    def progress(self, description, done, total, note=""):
        if description == "tuning":
            self.under_way()

    def under_way(self):
        pass


def gone(process: int) -> bool:
    """Whether a process has ended (one that nobody has waited for yet counts)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        return False


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_worker_costs_no_trial(tiny_copy):
    class Killer(Listener):
        killed = None

        def under_way(self):
            if self.killed is None:
                self.killed = self.processes[0]  # it runs the config's own settings
                os.kill(self.killed, signal.SIGKILL)

    ui = Killer()
    result = tune(experiments.load(tiny_copy.config, LONG), ui=ui)
    assert ui.killed and gone(ui.killed)
    assert [line for line in ui.lines if "was killed by SIGKILL; its settings are tried again" in line]
    rows = result["trials"]
    assert len(rows) == 3
    assert [row["settings"] for row in rows if row.get("own")] == [OWN]
    assert 0 not in [row["trial"] for row in rows]  # failed
    assert rows[0]["trial"] == 1  # it ran beside the one that was killed
    assert len(ui.processes) == 3
    assert all(gone(process) for process in ui.processes)
    own = next(row for row in rows if row.get("own"))
    assert result["default_val_loss"] == own["val_loss"] >= result["best_trial_val_loss"]
    assert sorted(path.name for path in (tiny_copy.run_dir / "work" / "tune").glob("trial-*")) == []


def test_an_error_in_a_worker_is_the_search_s(tiny_copy):
    ui = Listener()
    with pytest.raises(InputError, match="nowhere is missing"):
        tune(experiments.load(tiny_copy.config, [*SEARCH, "tune.trials=1", "train.start_from=nowhere"]), ui=ui)
    [process] = ui.processes
    assert gone(process)


def start(run, trials, *overrides):
    """`llmkit tune` as a process with these trials under way; (process, its workers)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llmkit", "tune", run.config, *LONG, *overrides, "--verbose"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines, workers = [], []
    while len(workers) < 2:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
        if found := re.match(r"worker \d+: process (\d+)", lines[-1]):
            workers.append(int(found[1]))
    places = [run.run_dir / "work" / "tune" / f"trial-{number}" / "metrics.jsonl" for number in trials]
    wait_until(lambda: all(place.exists() for place in places))  # written where the training loop begins
    return process, workers


def test_workers_end_with_a_search_that_is_killed_and_the_next_goes_on(tiny_copy):
    process, workers = start(tiny_copy, [0])
    process.kill()
    process.communicate()
    wait_until(lambda: all(gone(worker) for worker in workers))
    with (tiny_copy.run_dir / "work" / "tune" / "journal.log").open("a") as file:
        file.write('{"op_code": 6, "half a li')
    result = tune(experiments.load(tiny_copy.config, [*LONG, "tune.trials=2", "tune.workers=1"]))
    assert len(result["trials"]) == 2
    assert [row["settings"] for row in result["trials"] if row.get("own")] == [OWN]
    assert 0 not in [row["trial"] for row in result["trials"]]  # failed and queued again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_search_and_workers_after_a_checkpoint(tiny_copy, number):
    process, workers = start(tiny_copy, [0, 1], "train.max_minutes=9")
    os.killpg(process.pid, number)  # as a terminal and `timeout` do: to the workers, too
    _, said = process.communicate()
    assert process.returncode == 130
    assert "error: interrupted after 0 of 3 trials; the same command goes on" in said
    assert "worker.py" not in said  # no traceback of theirs
    assert all(gone(worker) for worker in workers)
    work = tiny_copy.run_dir / "work" / "tune"
    assert all(list((work / name).glob("checkpoint-*")) for name in ("trial-0", "trial-1"))
