"""Pieces of an explained text."""

from llmkit.predicting import explained


def test_pieces_are_the_text_and_parts_have_their_names() -> None:
    parts = [{"start": 1, "end": 2, "contribution": 0.5}, {"start": 3, "end": 4, "contribution": -0.5}]
    assert explained.pieces(" a b ", parts) == [(" ", None), ("a", 0.5), (" ", None), ("b", -0.5), (" ", None)]
    assert explained.pieces("", []) == []
    assert explained.called({"column": "age", "value": None}) == "age = missing"
    assert explained.called({"column": "age", "value": 2.50}) == "age = 2.5"
    assert explained.called({"row": 4, "column": 8, "height": 4, "width": 4}) == "patch at row 4, column 8"
