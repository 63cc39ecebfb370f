"""What is out of the ordinary, by hand and in a small run."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

import llmkit as package
from llmkit.errors import ConfigError
from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN
from llmkit.tasks.series import anomalies, anomaly_output

BAND = np.array([-4.0, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 4])  # quantiles at LEVELS


def bits(*values, quantiles=BAND):
    return anomalies.surprise(np.array(values), np.tile(quantiles, (len(values), 1)))


def test_surprise_by_hand():
    found = bits(0.0, -1.5, 1.5, 1.25, 4.0, -4.0)
    np.testing.assert_allclose(found, -np.log2([1, 0.4, 0.4, 0.5, 0.05, 0.05]), atol=1e-9)


def test_tails_fall_exponentially():
    assert LEVELS[0] / LEVELS[1] == pytest.approx(1 / 4)  # two bits from 2 to 4, so two more to 6
    np.testing.assert_allclose(bits(6.0, 8.0, -6.0) - bits(4.0), [2, 4, 2], atol=1e-9)


def test_no_spread_no_failure():
    flat = np.zeros(len(LEVELS))
    found = bits(0.0, 1.0, np.nan, quantiles=flat)
    assert found[0] == 0 and found[1] == anomalies.FARTHEST and np.isnan(found[2])
    half = np.where(np.arange(len(LEVELS)) <= MEDIAN, 0.0, BAND)  # no value below 0, half of them 0
    assert bits(0.0, quantiles=half)[0] == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_farther_out_is_never_less_surprising(values):
    above = sorted(value for value in values if value >= 0)
    assert (np.diff(bits(*above)) >= -1e-9).all() if above else True
    np.testing.assert_allclose(bits(*values), bits(*(-value for value in values)), atol=1e-6)


def test_peaks_are_of_different_clusters():
    found = np.array([1.0, 5, 4, np.nan, 2, 3])
    assert anomalies.peaks(found, np.arange(6), 1).tolist() == [5, 3]
    assert anomalies.peaks(found, np.arange(6), 0).tolist() == [5, 4, 3, 2, 1]
    assert anomalies.peaks(found, np.arange(6) * 10, 1).tolist() == [5, 4, 3, 2, 1]


def test_a_cluster_is_one_alarm():
    bits = np.array([6.0, 5, np.nan, 6, 0, 0, 0, 5])
    assert np.flatnonzero(anomalies.alarms(bits, 5, 2)).tolist() == [0, 7]
    assert np.flatnonzero(anomalies.alarms(bits * [1, 1, 1, 2, 1, 1, 1, 1], 5, 2)).tolist() == [0, 3, 7]
    assert not anomalies.alarms(np.zeros(3), 0, 2).any()


def test_the_threshold_keeps_to_the_budget():
    assert anomalies.threshold([9.0, 7.0, 4.0], 2.5) == 7
    assert anomalies.threshold([9.0, 7.0, 4.0], 0.25) == 11  # four times as rare
    assert anomalies.threshold([9.0, 7.0, 4.0], 50) == 4


def test_values_that_stay_the_same_are_counted():
    assert anomalies.still(np.array([3.0, 3, 3, 1, np.nan, np.nan, 1])).tolist() == [1, 2, 3, 1, 0, 0, 1]


def planted(series_run):
    """The north shop, with one value far out and six that stand still."""
    lines = [line for line in series_run.table.read_text().splitlines() if "south" not in line]
    values = [float(line.split(",")[2]) for line in lines[1:]]
    values[100], values[120:126] = 90.0, [values[119]] * 6
    return values


def test_planted_faults_raise_alarms(series_run):
    model = package.load(series_run.model)
    found = model.anomalies({"values": planted(series_run), "start": "2024-03-01", "name": "north"})
    places = {found["times"][k]: alarm for k, alarm in enumerate(found["alarm"]) if alarm}
    assert places["2024-03-05T04:00:00"] == "surprise"  # hour 100
    assert "still" in [alarm for time, alarm in places.items() if time >= "2024-03-06"]
    assert len(found["values"]) == 150 - 12 and len(places) < 8
    assert found["surprise"][100 - 12] > 20
    later = model.anomalies(planted(series_run)[:130])
    assert later["surprise"] == pytest.approx(model.anomalies(planted(series_run))["surprise"][: 130 - 12])
    with pytest.raises(ConfigError, match="alarms_per_day"):
        model.anomalies([1.0], alarms_per_day=0)


def test_all_outputs_say_the_same(llmkit, series_run, tmp_path):
    file = tmp_path / "sales.csv"
    rows = [f"{3600 * k + 1_700_000_000},{value}" for k, value in enumerate(planted(series_run))]
    file.write_text("\n".join(["time,sales", *rows]) + "\n")
    printed = {
        output: llmkit("generate", series_run.model, "--anomalies", "--prompt-file", file, "--output", output)
        for output in ("table", "csv", "jsonl", "html")
    }
    assert {ran.code for ran in printed.values()} == {0}, printed["table"].err
    values = list(csv.DictReader(io.StringIO(printed["csv"].out)))
    lines = [json.loads(line) for line in printed["jsonl"].out.splitlines()]
    assert [float(row["surprise"]) for row in values] == [line["surprise"] for line in lines]
    alarms = [line for line in lines if line["alarm"]]
    assert alarms and printed["table"].out.count("surprise") + printed["table"].out.count("still") == len(alarms)
    assert printed["html"].out.count("<figure>") == len(alarms) and "<circle" in printed["html"].out
    whole = json.loads(llmkit("generate", series_run.model, "--anomalies", "--prompt-file", file, "--json").out)
    assert whole["alarms"] == len(alarms) and len(anomaly_output.items(whole)) == len(values) == whole["judged"]


def test_a_series_too_short_to_judge_is_told(llmkit, series_run):
    ran = llmkit("generate", series_run.model, "--anomalies", "--prompt", "[1, 2, 3]")
    assert ran.code == 0 and "none is judged" in ran.err
