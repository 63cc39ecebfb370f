"""labels.json: the bytes that model folders have always had, and back."""

import pytest

from llmkit.errors import InputError
from llmkit.predicting import labels
from llmkit.predicting.labels import LABELS, Labelling
from llmkit.store.files import Files

OF_A_CLASSIFIER = Labelling(["ja", "süß"], temperature=1.25)
OF_A_GENERATOR = Labelling(["0", "1"], shares=[0.75, 0.25])


def test_the_bytes_by_hand():
    assert OF_A_CLASSIFIER.to_bytes().decode() == '{\n "labels": [\n  "ja",\n  "süß"\n ],\n "temperature": 1.25\n}\n'
    expected = '{\n "labels": [\n  "0",\n  "1"\n ],\n "shares": [\n  0.75,\n  0.25\n ]\n}\n'
    assert OF_A_GENERATOR.to_bytes().decode() == expected


@pytest.mark.parametrize("about", [OF_A_CLASSIFIER, OF_A_GENERATOR, Labelling(["one"])])
def test_what_is_written_comes_back(tmp_path, about):
    (tmp_path / LABELS).write_bytes(about.to_bytes())
    assert labels.read(Files(tmp_path)) == about


def test_a_folder_without_them_is_refused(tmp_path):
    with pytest.raises(InputError, match="labels.json"):
        labels.read(Files(tmp_path))
