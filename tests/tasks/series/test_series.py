"""`task: series` from files to forecasts."""

import json

import numpy as np
import pytest
from small_runs import without_torch

import llmkit
from llmkit.errors import ConfigError, InputError
from llmkit.tasks import experiment as experiments

KEYS = "mase smape mae rmse wql coverage_80 coverage_95 msis"


def rows(text):
    return [line.split(",") for line in text.strip().splitlines()]


def test_prepare_says_what_it_found(llmkit, series_run):
    ran = llmkit("prepare", series_run.config, "--force", "--json", f"run_dir={series_run.run_dir.parent / 'again'}")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert (found["series"], found["values"], found["step"], found["season"], found["horizon"]) == (
        2,
        300,
        "hour",
        12,
        6,
    )
    assert found["minimum"] == 0 and found["splits"] == {"train": 252, "val": 24, "test": 24}


def test_evaluate_prints_the_contracts_figures_beside_naive_forecasts(llmkit, series_run):
    ran = llmkit("evaluate", series_run.config, "--json", 'evaluate.require={mase: "<= 1"}')
    found = json.loads(ran.out)
    assert ran.code == 0, ran.err
    assert found["forecasts"] == 4 and found["size_bytes"] > 0 and found["ms_per_forecast"] > 0
    for name in KEYS.split():
        assert np.isfinite(found[name])
        assert {who: of[name] for who, of in found["baselines"].items()}.keys() == {"seasonal_naive", "naive"}
    assert found["mase"] < found["baselines"]["seasonal_naive"]["mase"] < found["baselines"]["naive"]["mase"]
    assert {len(values) for values in found["by_horizon"].values()} == {6}
    assert np.mean(found["by_horizon"]["mase"]) == pytest.approx(found["mase"])


def test_origins_move_by_the_stride(llmkit, series_run):
    ran = llmkit("evaluate", series_run.config, "--json", "evaluate.stride=1")
    assert json.loads(ran.out)["forecasts"] == 2 * 7


def test_a_requirement_that_is_missed_ends_with_4(llmkit, series_run):
    assert llmkit("evaluate", series_run.config, 'evaluate.require={mase: "<= 0.001"}').code == 4


def test_other_files_are_scored_at_their_ends(llmkit, series_run, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("\n".join(line for line in series_run.table.read_text().splitlines() if "south" not in line))
    ran = llmkit("evaluate", series_run.model, "--on", other, "--json")
    assert ran.code == 0 and json.loads(ran.out)["series"] == 1


def test_the_series_of_the_training_go_on_by_themselves(llmkit, series_run):
    ran = llmkit("generate", series_run.config, "--output", "csv")
    head, *found = rows(ran.out)
    assert head == ["series", "step", "time", "lower_95", "lower_80", "median", "upper_80", "upper_95"]
    assert [row[:3] for row in found[5:7]] == [
        ["north", "6", "2024-03-07T11:00:00"],
        ["south", "1", "2024-03-07T06:00:00"],
    ]
    for row in found:
        assert sorted(row[3:], key=float) == row[3:]
    assert 10 < float(found[0][5]) < 30 and 100 < float(found[6][5]) < 300


def test_a_file_goes_on_where_it_ends_and_is_what_the_program_says(llmkit, series_run, tmp_path):
    part = tmp_path / "part.csv"
    lines = [line for line in series_run.table.read_text().splitlines() if "south" not in line]
    part.write_text("\n".join(lines[:101]))
    ran = llmkit("generate", series_run.model, "--prompt-file", part, "--output", "jsonl")
    [line] = ran.out.strip().splitlines()
    found = json.loads(line)
    assert found["times"][0] == "2024-03-05T04:00:00"
    model = llmkit_load(series_run.model)
    history = {"values": [float(text.split(",")[2]) for text in lines[1:101]], "start": "2024-03-01T00:00"}
    assert model.forecast(history)["median"] == pytest.approx(found["median"])
    assert model.forecast([history, history])[1]["times"] == found["times"]


def llmkit_load(place):
    return llmkit.load(place)


def test_a_longer_horizon_goes_on_from_its_own_forecast(series_run):
    model = llmkit.load(series_run.model)
    past = (20 + 5 * np.sin(2 * np.pi * np.arange(60) / 12)).tolist()
    short, long = model.forecast(past), model.forecast(past, horizon=15)
    assert long["median"][:6] == short["median"] and len(long["median"]) == 15
    again = model.forecast([*past, *short["median"]])
    assert long["median"][6:12] == pytest.approx(again["median"])
    widths = [np.subtract(f["quantiles"]["0.9"], f["median"]) for f in (again, long)]
    np.testing.assert_allclose(widths[1][6:12], widths[0] * 2**0.5)


def test_a_horizon_of_its_own_is_told(llmkit, series_run):
    ran = llmkit("generate", series_run.model, "--horizon", "8", "--prompt", "[1, 2, null, 4]", "--json")
    assert ran.code == 0 and "goes on from its own forecast" in ran.err and "are guesses" in ran.err
    [found] = json.loads(ran.out)["forecasts"]
    assert len(found["median"]) == 8 and found["times"] is None


def test_the_page_shows_each_forecast(llmkit, series_run):
    ran = llmkit("generate", series_run.model, "--output", "html")
    assert ran.out.count("<svg") == 2 and "<script" not in ran.out and "south" in ran.out


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("[]", "there is no past value to go on from"),
        ("[null]", "there is no past value to go on from"),
        ("nonsense", "is no JSON"),
        ('["a"]', "past values are numbers"),
        ('"abc"', "past values are a list of numbers"),
        ("[1e300]", "beyond 1e30"),
        ('{"values": [1], "start": "soon"}', "'soon' is no time"),
    ],
)
def test_a_prompt_that_is_no_history_is_refused(llmkit, series_run, prompt, says):
    ran = llmkit("generate", series_run.model, "--prompt", prompt)
    assert ran.code in (2, 3) and ran.out == "" and says in ran.error


def test_a_model_runs_without_torch(series_run, tmp_path):
    code = f"import llmkit; print(len(llmkit.load({str(series_run.int8)!r}).forecast([1, 2, 3] * 10)['median']))"
    ran = without_torch(code, tmp_path)
    assert ran.stdout == "6\n", ran.stderr


@pytest.mark.parametrize(
    ("lines", "overrides", "says"),
    [
        (["time,sales", *(f"2024-03-{d:02d},{d}" for d in range(1, 20))], [], "no series is long enough: the longest"),
        (["time,sales", "2024-03-01,1", "2024-03-03,1", "2024-03-04,1"], [], "has a gap after '2024-03-01'"),
        (["time,sales", *(f"2024-03-{d:02d}," for d in range(1, 20))], [], "'sales' has no value at all"),
        (["time,sales", "2024-03-01,x"], [], "no column holds numbers beside the times"),
        (["time,sales", "2024-03-01,1", "2024-03-01,2"], [], "second row for the time"),
    ],
)
def test_what_is_no_series_is_refused(llmkit, tmp_path, lines, overrides, says):
    table, config = tmp_path / "x.csv", tmp_path / "x.yaml"
    table.write_text("\n".join(lines) + "\n")
    config.write_text(f"task: series\nrun_dir: {tmp_path / 'run'}\nprepare: {{files: {table}}}\n")
    ran = llmkit("prepare", config, *overrides)
    assert (ran.code, ran.out) == (3, "") and says in ran.error, ran.error


def test_short_and_unchanging_series_are_told(llmkit, tmp_path):
    table, config = tmp_path / "x.csv", tmp_path / "x.yaml"
    head = ",".join(["name", *map(str, range(40))])
    rising, short = "a," + ",".join(map(str, range(40))), "b,1,2,3" + "," * 37
    table.write_text("\n".join([head, rising, short, "c" + ",5" * 40]) + "\n")
    config.write_text(
        f"task: series\nrun_dir: {tmp_path / 'run'}\nprepare: {{files: {table}, horizon: 4, season: 4}}\n"
    )
    ran = llmkit("prepare", config)
    assert ran.code == 0, ran.err
    assert "1 of 3 series have fewer than 24 values and are left out: 'b'" in ran.err
    assert "1 series never change, such as 'c'" in ran.err


def test_a_context_below_a_season_and_a_minimum_above_the_values_are_refused(llmkit, series_run):
    ran = llmkit("train", series_run.config, "model.context=6", "--force")
    assert ran.code == 2 and "shorter than a season of 12" in ran.error
    ran = llmkit("prepare", series_run.config, "prepare.minimum=100", f"run_dir={series_run.run_dir.parent / 'm'}")
    assert ran.code == 2 and "lower it" in ran.error


def test_start_from_takes_the_weights_of_the_same_sizes(llmkit, series_run):
    place = f"run_dir={series_run.run_dir.parent / 'second'}"
    assert llmkit("prepare", series_run.config, place).code == 0
    ran = llmkit("train", series_run.config, place, f"train.start_from={series_run.model}", "train.steps=2", "--json")
    assert ran.code == 0, ran.err
    first = experiments.read_model(series_run.model).result["val_loss"]
    assert json.loads(ran.out)["val_loss"] < 1.2 * first
    ran = llmkit("train", series_run.config, place, f"train.start_from={series_run.model}", "model.context=36")
    assert ran.code == 3 and "has a context of 24, and here it is 36" in ran.error


def test_errors_of_a_program(series_run):
    model = llmkit.load(series_run.model)
    with pytest.raises(InputError, match="a list of numbers"):
        model.forecast({"values": "abc"})
    with pytest.raises(ConfigError, match="out of range"):
        model.forecast([1.0, 2.0], horizon=0)
