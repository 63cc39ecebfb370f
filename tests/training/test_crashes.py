"""Training loses no work: killed or out of room at any file operation, it goes on and ends bit for bit the same."""

import json
import signal
from pathlib import Path

import pytest
from faults import GROWS, full_disk, kill
from faulty_runs import NGRAM, STOPS_EARLY, Ears, Run, linux_only, steps_saved
from forks import in_child

from llmkit.console import charts
from llmkit.errors import InputError
from llmkit.stages.train import train
from llmkit.training import checkpoint

pytestmark = linux_only


def test_killed_at_every_file_operation(run: Run) -> None:
    seen, proven = run.operations(), set[str]()
    for number, name in enumerate(seen, 1):
        if number > 1 and seen[number - 2].startswith("fsync"):
            continue  # a flush changes nothing that a kill leaves behind: the kill before it was the same
        run.clear()
        assert in_child(lambda number=number: run.faulty(number, kill)) == -signal.SIGKILL, name
        run.assert_goes_on(seen[: number - 1], proven)
    assert steps_saved(seen) == [3, 6, 7] and len(proven) > 60
    for name in ("half of a write weights.safetensors", "half of a write metrics.jsonl", "rename model"):
        assert name in seen


@pytest.mark.parametrize(
    "others", [["train.steps=null", "train.epochs=0.1"], STOPS_EARLY, [NGRAM]], ids=["epochs", "patience", "n-grams"]
)
def test_other_runs_killed_now_and_then(run: Run, others: list[str]) -> None:
    end, seen, proven = run.end(*others), run.operations(*others), set[str]()
    assert json.loads(end["model/manifest.json"])["result"]["stopped_early"] == (others == STOPS_EARLY)
    for number in range(1, len(seen), 17):
        run.clear(*others)
        assert in_child(lambda number=number: run.faulty(number, kill, *others)) == -signal.SIGKILL
        run.assert_goes_on(seen[: number - 1], proven, *others)
    assert len(proven) > 4


def test_full_disk_from_every_file_operation_on(run: Run) -> None:
    assert full_from_each(run, run.operations()) > 5


def test_full_disk_while_the_n_gram_model_is_made(run: Run) -> None:
    run.end(NGRAM)
    seen = run.operations(NGRAM)
    first = next(number for number, name in enumerate(seen) if name.startswith("mkdir .ngram.building"))
    assert full_from_each(run, seen, NGRAM, first=first) > 1


def full_from_each(run: Run, seen: list[str], *overrides: str, first: int = 0) -> int:
    """Fill the disk from each operation on that needs room; returns how many different states were gone on from."""
    proven = set[str]()
    for number, name in enumerate(seen[first:], first + 1):
        if name.startswith(GROWS):
            run.clear(*overrides)
            if number > seen.index("fsync timings") + 1:  # the last checkpoint is deleted, which needs no room
                run.faulty(number, full_disk, *overrides)
                assert checkpoint._steps(run.checkpoints) == []
                continue
            with pytest.raises(InputError, match="No space left on device; free some space, then run it again"):
                run.faulty(number, full_disk, *overrides)
            run.assert_goes_on(seen[: number - 1], proven, *overrides)
    return len(proven)


def test_a_limit_on_file_sizes_set_by_the_kernel(run: Run) -> None:
    import resource

    sizes = [file.stat().st_size for file in (run.run_dir / "prepared").iterdir()]
    codes = set()
    for limit in (100, 1000, 3000, 6000, 10 * max(sizes)):
        run.clear()

        def limited(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            train(run.load())

        codes.add(in_child(limited))
        run.train()
        run.assert_ended()
    assert codes == {3, 0}


def test_a_picture_that_finds_no_room_is_no_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(metrics: Path, picture: Path) -> bool:
        full_disk(GROWS[0])
        return True

    monkeypatch.setattr(charts, "loss_curve", full)
    ears = Ears()
    assert train(run.load(), ui=ears)["steps"] == 7
    assert len(ears.warnings) == 1 and "loss.png was not written: No space left on device" in ears.warnings[0]


def test_after_the_model_is_in_its_place_nothing_is_left_to_go_on_with(run: Run) -> None:
    seen, other = run.operations(), "train.learning_rate=0.002"
    run.end(other)
    for number in (seen.index("rename model") + 2, seen.index("rename run-model.json"), len(seen) - 2, len(seen)):
        run.clear()
        assert in_child(lambda number=number: run.faulty(number, kill)) == -signal.SIGKILL
        ears = Ears()
        train(run.load(other), ui=ears)  # not refused: the run with other settings has its model
        assert (ears.warnings, ears.went_on_from) == ([], 0)
        assert run.content() == {name: data for name, data in run.end(other).items() if name.startswith("model/")}
