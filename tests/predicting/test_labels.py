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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `labels`"),
        ('{"labels": ["a", 1]}', r"Expected `str`, got `int` - at `\$.labels\[1\]`"),
        ('{"labels": ["a", "a"]}', "a label stands twice"),
        ('{"labels": ["a"], "temperature": 0}', "its temperature is not above 0"),
        ('{"labels": ["a"], "temperature": NaN}', "NaN is no number"),
        ('{"labels": ["a", "b"], "shares": [0.5, -0.5]}', "its shares are none"),
        ('{"labels": [], "shares": []}', "its shares are none"),
    ],
)
def test_what_are_no_labels(tmp_path, text, says):
    (tmp_path / LABELS).write_text(text)
    with pytest.raises(InputError, match=f"{LABELS} is damaged: .*{says}.*; make it again, or copy it anew$"):
        labels.read(Files(tmp_path))
