"""Figures by hand, by a scalar loop, and by sacrebleu itself."""

import pytest

from llmkit.tasks.translate import quality
from llmkit.tasks.translate.settings import Evaluate


def test_edit_distances() -> None:
    for first, second, distance in [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]:
        assert quality.edit_distance(first, second) == quality.edit_distance(second, first) == distance


def test_error_rates_count_the_nearest_answer() -> None:
    written = [["K", "AE", "T"], ["D", "AO", "G"], ["B", "AH"]]
    answers = [[["K", "AE", "T"]], [["D", "AA", "G"], ["D", "AO", "G"]], [["B", "AH", "T", "ER"], ["P", "AH", "D"]]]
    found = quality.error_rates(written, answers)
    assert found["word_error_rate"] == pytest.approx(1 / 3)
    assert found["phoneme_error_rate"] == pytest.approx(2 / (3 + 3 + 3))


def test_exact_matches_are_of_any_answer() -> None:
    settings = Evaluate(metric="wer")
    found = quality.figures(["a b", "c", "d"], [["x", "a b"], ["c"], ["e"]], settings, str.split, print)
    assert found["exact"] == pytest.approx(2 / 3) and found["word_error_rate"] == pytest.approx(1 / 3)


def test_bleu_and_chrf() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    written, answers = (
        ["the cat sat on the mat", "hello there world now"],
        [["the cat sat on a mat"], ["hello there world"]],
    )
    found = quality.bleu_and_chrf(written, answers)
    references = [[known[0] for known in answers]]
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(written, references).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(written, references).score)
    assert "tok:13a" in found["signature"]["bleu"]
    assert quality.bleu_and_chrf(["hello there big world"], [["x", "hello there big world"]])["bleu"] == pytest.approx(
        100
    )
    assert "tok:zh" in quality.bleu_and_chrf(["打开文件夹"], [["打开文件夹"]])["signature"]["bleu"]
