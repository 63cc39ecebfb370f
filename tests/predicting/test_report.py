"""The worst mistakes of a classifier, their texts as text, on a model that a table plays."""

from types import SimpleNamespace

import numpy as np

from llmkit.predicting import report
from llmkit.predicting.use import Classifier


def test_mistakes_come_by_how_sure_the_model_was() -> None:
    model = Classifier.__new__(Classifier)
    model.labels = ["no", "<script>"]
    answers = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    examples = SimpleNamespace(targets=np.array([1, 1, 0]), puzzles=None)
    found = report._worst(model, examples, answers).body
    assert found.index("no (0.9000), but it is &lt;script&gt;") < found.index("&lt;script&gt; (0.7000), but it is no")
    assert found.count('class="mistake"') == 2
    by_label = report._by_label(model, answers, examples.targets).body
    assert "0.5000</td>" in by_label and "<script>" not in by_label
