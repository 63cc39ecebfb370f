"""The study on disk: what crashes leave is put back, the journal is repaired, trials are counted and compared."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.search import pool, study as studies
from llmkit.tasks import experiment as experiments

ROOT = Path(__file__).parents[2]
SEARCH = [
    "tune.trials=6",
    "tune.search={train.learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}, model.hidden_size: {choices: [8, 16]}}",
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tune"


def load(run, *overrides):
    return experiments.load(run.config, [*SEARCH, *overrides])


def open_search(run, folder, *overrides, **options):
    config = load(run, *overrides)
    identity = {"batch_size": config.settings.train.batch_size}
    return studies.Search(studies.open_study(config, identity, folder, **options), config, folder, Console(0))


def complete(search, loss):
    running = search.begin()
    assert running
    search.end(running, {"state": "complete", "val_loss": loss, "steps": 1, "seconds": 1.0})
    return running.values


def states(search):
    return [trial.state.name for trial in search.study.trials]


def test_an_interrupted_search_tries_what_an_uninterrupted_one_tries(tiny_run, tmp_path):
    losses = [3.0, 2.0, 2.5, 1.0, 4.0, 1.5, 2.2, 0.9]
    whole = open_search(tiny_run, tmp_path / "whole", "tune.trials=8")
    expected = [complete(whole, loss) for loss in losses]
    assert expected[0] == {"train.learning_rate": 0.01, "model.hidden_size": 16}
    assert len({json.dumps(value) for value in expected}) == 8
    assert whole.begin() is None
    found = []
    for loss in losses:
        search = open_search(tiny_run, tmp_path / "torn", "tune.trials=8")
        assert search.begin()  # the process is killed in this trial
        search = open_search(tiny_run, tmp_path / "torn", "tune.trials=8")
        found.append(complete(search, loss))
    assert found == expected
    assert [row["settings"] for row in studies.rows(search.study)] == expected


def test_a_killed_trial_is_put_back_once_and_keeps_folder_and_comparisons(tiny_run, folder):
    search = open_search(tiny_run, folder)
    running = search.begin()
    assert not search.look(running, 1, 3.0)
    place = search.trial_folder(running)
    with (folder / "journal.log").open("a") as file:
        file.write('{"op_code": 5, "half a li')  # the process is killed here
    search = open_search(tiny_run, folder)
    assert states(search) == ["FAIL", "WAITING"]
    again = search.begin()
    assert again.values == running.values
    assert search.trial_folder(again) == place
    assert search.study.trials[1].intermediate_values == {1: 3.0}
    assert not search.look(again, 1, 3.0)  # seen already: not reported twice
    search = open_search(tiny_run, folder)
    assert search.trial_folder(search.begin()) == place  # killed a second time
    assert states(search) == ["FAIL", "FAIL", "RUNNING"]


def test_a_crash_between_queueing_again_and_marking_failed_queues_once(tiny_run, folder, monkeypatch):
    import optuna

    search = open_search(tiny_run, folder)
    search.begin()

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            open_search(tiny_run, folder)
    assert states(open_search(tiny_run, folder)) == ["FAIL", "WAITING"]


def test_a_trial_may_cost_so_many_workers_only(tiny_run, folder):
    search = open_search(tiny_run, folder)
    for _ in range(studies.DEATHS - 1):
        search.died(search.begin(), "was killed by SIGKILL")
    with pytest.raises(ConfigError, match=r"hidden_size 16\) cost 3 workers.*was killed by SIGKILL.*memory.*workers"):
        search.died(search.begin(), "was killed by SIGKILL")
    search = open_search(tiny_run, folder)  # the next command has as many to spend
    search.died(search.begin(), "was killed by SIGKILL")
    assert complete(search, 1.0) == {"train.learning_rate": 0.01, "model.hidden_size": 16}


def test_trials_running_count_so_that_there_are_never_too_many(tiny_run, folder):
    search = open_search(tiny_run, folder, "tune.trials=3")
    first, second, third = search.begin(), search.begin(), search.begin()
    assert search.begin() is None
    search.end(second, {"state": "pruned", "message": "pruned"})
    assert search.begin() is None
    search.died(first, "was killed")
    assert search.begin().values == first.values
    assert search.begin() is None
    search.end(third, {"state": "diverged", "message": "diverged"})
    assert [row["state"] for row in studies.rows(search.study)] == ["pruned", "diverged"]


def test_no_trial_begins_after_max_minutes_but_the_config_s_own(tiny_run, folder):
    search = open_search(tiny_run, folder, "tune.max_minutes=1e-9")
    time.sleep(0.001)
    own = search.begin()
    assert own.values["train.learning_rate"] == 0.01
    assert search.begin() is None
    search.died(own, "was killed")
    own = search.begin()
    search.end(own, {"state": "complete", "val_loss": 1.0, "steps": 1, "seconds": 1.0})
    assert search.begin() is None


def test_the_worse_half_is_pruned_at_the_same_point_but_never_the_config_s_own(tiny_run, folder):
    search = open_search(tiny_run, folder, "tune.trials=9")
    own = search.begin()
    for loss in (1.0, 2.0, 3.0, 4.0):
        running = search.begin()
        assert not search.look(running, 2, loss)  # the first four are compared with nobody
        search.end(running, {"state": "complete", "val_loss": loss, "steps": 1, "seconds": 1.0})
    assert not search.look(own, 2, 9.0)
    worse, better = search.begin(), search.begin()
    assert not search.look(worse, 1, 2.6)  # nobody was measured there
    assert search.look(worse, 2, 2.6) is True  # median 2.5; no bool of numpy, which JSON does not hold
    assert not search.look(better, 2, 2.4)
    assert not search.look(better, 2, 9.0)  # one figure for a point


def test_a_study_of_other_settings_is_refused_with_the_difference(tiny_run, folder):
    open_search(tiny_run, folder)
    with pytest.raises(InputError, match=r"(?s)batch_size: 4 → 2.*--fresh"):
        open_search(tiny_run, folder, "train.batch_size=2")
    open_search(tiny_run, folder, "tune.workers=2", "tune.trials=9", "tune.max_minutes=5")  # these may change
    open_search(tiny_run, folder, "train.batch_size=2", fresh=True)
    assert json.loads((folder / "study.json").read_text())["identity"]["batch_size"] == 2
    studies.mark_finished(folder)
    assert states(open_search(tiny_run, folder)) == ["WAITING"]  # a finished one gives way


def test_a_full_disk_is_named_and_the_search_goes_on_once_there_is_room(tiny_run, folder, monkeypatch):
    from optuna.storages.journal import JournalFileBackend

    def full(backend, logs):
        with (folder / "journal.log").open("a") as file:
            file.write('{"op_code": 4, "half a li')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    search = open_search(tiny_run, folder)
    with monkeypatch.context() as patch:
        patch.setattr(JournalFileBackend, "append_logs", full)
        with pytest.raises(InputError, match=f"{folder} was not written: No space left on device; free some space"):
            pool.run(search, search.experiment, None, "cpu", Console(0))
    search = open_search(tiny_run, folder)
    assert complete(search, 1.0) == {"train.learning_rate": 0.01, "model.hidden_size": 16}


def test_a_damaged_line_within_the_journal_is_named(tiny_run, folder):
    open_search(tiny_run, folder)
    journal = folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"\0\0\0\n", *lines[1:]]))
    with pytest.raises(InputError, match=r"journal.log:2: damaged: .*--fresh"):
        open_search(tiny_run, folder)
    assert states(open_search(tiny_run, folder, fresh=True)) == ["WAITING"]


HOLD = """
import sys
from pathlib import Path
from llmkit.search.study import _JournalLock
_JournalLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_journal_s_lock_keeps_others_out_and_ends_with_its_process(tiny_run, folder):
    from llmkit.store import file_locks

    open_search(tiny_run, folder)
    place = folder / "journal.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, place], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            file_locks.hold(place, 2)
        holder.kill()
        holder.wait()
    start = time.monotonic()
    open_search(tiny_run, folder).begin()
    assert time.monotonic() - start < 10  # Optuna's own lock would wait for 30 seconds
