"""The same made-up orders as a German spreadsheet, as an American one, and cleaned, learn and predict the same."""

import datetime
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import llmkit as package
from llmkit.cli import main

CONFIG = """\
task: table
run_dir: {run_dir}
prepare: {{files: {table}, label: {label}}}
model: {{hidden_size: 16, members: 2, embedding_size: 3}}
train: {{epochs: 12, batch_size: 32, learning_rate: 0.02}}
"""


def orders(count=320):
    """Amount, share, customer's code and day; late where the amount is high for the share, or on a weekend."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        amount = round(float(generator.uniform(200, 5000)), 2)
        share = round(float(generator.uniform(0, 100)), 1)
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=int(generator.integers(0, 300)))
        yield amount, share, f"0{generator.integers(100, 110)}", day, amount > 50 * share or day.weekday() >= 5


def german(number, digits):
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


EXPORTS = {
    "cleaned": (
        "amount,share,code,day,late",
        lambda amount, share, code, day, late: f"{amount},{share},{code},{day},{'yes' if late else 'no'}",
    ),
    "german": (
        "Betrag;Anteil;Kunde;Tag;late",
        lambda amount, share, code, day, late: (
            f"{german(amount, 2)};{german(share, 1)};{code};{day:%d.%m.%Y};{'yes' if late else 'no'}"
        ),
    ),
    "american": (
        "Amount,Share,Customer,Day,late",
        lambda amount, share, code, day, late: (
            f'"${amount:,.2f}",{share}%,{code},{day:%m/%d/%Y},{"yes" if late else "no"}'
        ),
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Of each export its metrics on the test split and what `prepare` says of its columns."""

    folder, result = tmp_path_factory.mktemp("exports"), {}
    for name, (head, line) in EXPORTS.items():
        table, config = folder / f"{name}.csv", folder / f"{name}.yaml"
        table.write_text("\n".join([head, *(line(*order) for order in orders())]) + "\n", encoding="utf-8")
        config.write_text(CONFIG.format(run_dir=folder / name, table=table, label="late"))
        said = [
            CliRunner().invoke(main.app, [stage, str(config), "--json"]) for stage in ("prepare", "train", "evaluate")
        ]
        result[name] = [json.loads(each.stdout) for each in said], folder / name / "model"
    return result


def test_they_are_read_as_a_person_reads_them(found):
    assert list(found["german"][0][0]["columns"].values()) == [
        "number (decimal comma, points between thousands)",
        "number (decimal comma)",
        "category",
        "date (day first)",
    ]
    assert list(found["american"][0][0]["columns"].values()) == [
        "number (commas between thousands, in $)",
        "number (in %)",
        "category",
        "date (month first)",
    ]


def test_they_learn_as_well_as_the_cleaned_table(found):
    accuracy = {name: stages[2]["accuracy"] for name, (stages, _) in found.items()}
    assert accuracy["cleaned"] > 0.85
    assert accuracy["german"] == accuracy["american"] == accuracy["cleaned"]


def test_rows_are_predicted_as_they_are_written(found):
    by_text = package.load(found["german"][1]).predict(
        {"Betrag": "4.900,00", "Anteil": "3,5", "Kunde": "0105", "Tag": "03.01.2024"}
    )
    by_number = package.load(found["german"][1]).predict(
        {"Betrag": 4900, "Anteil": 3.5, "Kunde": "0105", "Tag": datetime.date(2024, 1, 3)}
    )
    american = package.load(found["american"][1]).predict(
        {"Amount": "$4,900.00", "Share": "3.5%", "Customer": "0105", "Day": "01/03/2024"}
    )
    assert by_text == by_number and by_text["label"] == american["label"] == "yes"
