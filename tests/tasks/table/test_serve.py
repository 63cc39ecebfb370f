"""What a server tells of a row, from which the page makes its form."""

from llmkit.tasks import experiment as experiments
from llmkit.tasks.table import serve, use


def test_the_schema_of_a_row(table_run, monkeypatch):
    model = use.load(experiments.read_model(table_run.model))
    found = serve.schema(model)
    assert found["required"] == ["income", "debt", "home"]
    income, debt, home = (found["properties"][name] for name in found["required"])
    assert 40 < debt["default"] < 60 and income["type"] == ["number", "string", "null"]
    assert home["default"] in home["examples"] == ["free", "own", "rent"]
    row = {name: about["default"] for name, about in found["properties"].items()}
    assert serve.answer(model, [serve.request(model, row)], {}) == [model.predict(row)]
    monkeypatch.setattr(serve, "MOST_CHOICES", 2)  # of many categories none is listed: they may be names
    assert "examples" not in serve.schema(model)["properties"]["home"]


def test_the_answer_of_a_number_takes_an_interval(number_run):
    model = use.load(experiments.read_model(number_run.model))
    row = {"size": 20, "town": "north"}
    [wide], [narrow] = (serve.answer(model, [row], {"interval": share}) for share in (0.9, 0.5))
    assert wide["lower"] < narrow["lower"] < narrow["upper"] < wide["upper"]
