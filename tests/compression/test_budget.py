"""What a budget takes from a table made by hand, what it says where nothing fits, and a search on a tiny model."""

import json

import pytest

from llmkit.compression import budget
from llmkit.config.variants import Quantize
from llmkit.errors import RequirementError
from llmkit.tasks import TASKS
from llmkit.tasks.language import settings as language
from llmkit.tasks.language.settings import Budget


def row(name, size_mb, ms, loss):
    return {"name": name, "size_bytes": size_mb * 1e6, "ms_per_token": ms, "val_loss": loss, "load_ms": 1.0}


@pytest.fixture
def rows():
    found = [
        row("original", 5.0, 0.20, 2.00),
        row("a", 1.2, 0.10, 2.01),  # +0.5 %
        row("b", 0.4, 0.09, 2.03),  # +1.5 %
        row("c", 0.4, 0.05, 2.06),  # +3 %
        row("d", 0.3, 0.09, 2.04),  # +2 %
        row("e", 1.2, 0.10, 2.02),  # a is better
    ]
    for each in found:
        budget.relate(each, found[0], {"max_size_mb": 0.45}, "token")
    budget.mark(found, {"max_size_mb": 0.45}, "token")
    return found


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_size_mb": 0.45, "max_loss_increase_percent": 2.0}, "b"),
        ({"max_size_mb": 0.35}, "d"),
        ({"max_size_mb": 10}, "original"),
        ({"max_ms_per_token": 0.06}, "c"),
        ({"max_ms_per_token": 0.1}, "a"),
        ({"max_loss_increase_percent": 2.5}, "d"),  # the smallest where only the loss is limited
        ({"max_loss_increase_percent": 0.6}, "a"),
        ({"max_size_mb": 0.2}, None),
        ({"max_ms_per_token": 0.06, "max_loss_increase_percent": 2.0}, None),
    ],
)
def test_the_choice_from_a_table_by_hand(rows, limits, expected):
    found = budget.choose(rows, limits, "token")
    assert (found and found["name"]) == expected


def test_the_pareto_front_by_hand(rows):
    assert [row["name"] for row in rows if row["pareto"]] == ["original", "a", "b", "c", "d"]
    assert budget.pareto([(1, 1), (1, 1), (2, 1)]) == [True, True, False]  # equals do not beat each other


def test_figures_relative_to_the_original(rows):
    assert rows[1]["times_smaller"] == pytest.approx(5 / 1.2)
    assert rows[3]["times_faster"] == pytest.approx(4.0)
    assert rows[3]["val_loss_increase_percent"] == pytest.approx(3.0)
    assert [row["name"] for row in rows if row["fits"]] == ["b", "c", "d"]
    assert [row["name"] for row in rows if row.get("chosen")] == ["b"]


def test_the_nearest_miss_is_named_with_what_it_misses_and_by_how_much(rows):
    found = budget.nearest(rows, {"max_size_mb": 0.2, "max_loss_increase_percent": 1.6}, "token")
    expected = "nothing fits; nearest is d: size_mb is 0.3, 0.1 above max_size_mb 0.2; "
    assert found == expected + "loss_increase_percent is 2, 0.4 above max_loss_increase_percent 1.6"


def test_what_is_fine_tuned_first(rows):
    names = [row["name"] for row in budget.promising(rows[1:], {"max_size_mb": 0.45}, "token", 20)]
    assert names == ["b", "d", "c"]  # by their loss, whatever that limit is
    small_first = budget.promising(rows[1:], {"max_loss_increase_percent": 0.11}, "token", 20)
    assert [row["name"] for row in small_first][:2] == ["d", "b"]
    assert "c" not in [row["name"] for row in small_first]  # 3 % is more than twenty times that


def test_of_plans_that_differ_in_pruned_weights_alone_the_first_is_tried(rows):
    eight, four = Quantize(bits=8), language.Quantize(bits=4)
    tried = {
        "a": budget.Plan(0.0, 0.5, eight),
        "b": budget.Plan(0.0, 0.8, eight),
        "c": budget.Plan(0.5, 0.8, eight),
        "d": budget.Plan(0.5, 0.0, four),
        "e": budget.Plan(0.5, 0.9, eight),
    }
    assert [row["name"] for row in budget.one_of_a_kind(rows[1:], tried)] == ["a", "c", "d"]


def test_weights_of_4_bits_are_not_pruned_one_by_one():
    found = budget.plans(TASKS["language"])
    assert {plan.sparsity for plan in found if plan.quantize.bits == 4} == {0.0}
    assert {plan.sparsity for plan in found if plan.quantize.bits == 8} == set(budget.SPARSITIES)


def test_plans_become_settings():
    plan = budget.Plan(0.5, 0.8, Quantize(bits=8))
    assert plan.name == "without 50 % of the units and 80 % of the weights, 8 bits"
    steps = plan.variant(3.0).steps
    assert [step.max_minutes for step in steps[:2]] == [1.5, 1.5]
    assert (steps[0].how, steps[0].sparsity, steps[1].how, steps[1].sparsity) == (
        "structured",
        0.5,
        "unstructured",
        0.8,
    )
    assert steps[2].bits == 8
    assert [step.steps for step in plan.variant(None).steps[:2]] == [0, 0]
    assert len(budget.Plan(0.0, 0.0, Quantize(bits=8)).variant(None).steps) == 1


@pytest.fixture
def few_plans(monkeypatch):
    monkeypatch.setattr(budget, "UNITS", (0.0, 0.5))
    monkeypatch.setattr(budget, "SPARSITIES", (0.0,))
    monkeypatch.setattr(budget, "FIRST_SHARE", 100.0)  # however slow the machine is
    monkeypatch.setattr(budget, "TRIAL_SHARE", 0.2)


def test_a_search_measures_chooses_and_reports(job, few_plans, monkeypatch):
    made = budget.search(Budget(max_size_mb=0.009, max_minutes=0.05), job.original, job)
    [record] = made.done
    rows = json.loads((job.work / "candidates.json").read_text())
    [chosen] = [row for row in rows if row.get("chosen")]
    assert record["chosen"] == chosen["name"]
    assert chosen["size_bytes"] <= 9000 < rows[0]["size_bytes"]
    assert made.settings.model.hidden_size == 8
    assert chosen["val_loss"] == min(row["val_loss"] for row in rows if row["fits"])
    assert {row["name"] for row in rows[:3]} == {"original", "8 bits", "4 bits"}
    text = (job.work / "candidates.md").read_text()
    assert all(row["name"] in text for row in rows)
    assert (job.work / "candidates.png").read_bytes().startswith(b"\x89PNG")


def test_where_rounding_alone_fits_nothing_is_fine_tuned(job, few_plans):
    budget.search(Budget(max_size_mb=1.0, max_minutes=0.05), job.original, job)
    rows = json.loads((job.work / "candidates.json").read_text())
    assert not any(row.get("fine_tuning_minutes") for row in rows)
    assert len(rows) > 3


def test_nothing_fits(job, few_plans):
    with pytest.raises(
        RequirementError, match=r"nothing fits; nearest is .*above max_size_mb 0.001; all \d candidates"
    ):
        budget.search(Budget(max_size_mb=0.001, max_minutes=0.01), job.original, job)
    assert (job.work / "candidates.json").exists()
