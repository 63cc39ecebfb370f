"""The translation memory: the nearest training source by hand."""

from llmkit.tasks.translate.memory import Memory


def test_the_answer_of_the_most_similar_source() -> None:
    memory = Memory([("open the file", "A"), ("close the window", "B"), ("print the page", "C"), ("open a page", "D")])
    assert memory.nearest("open the file") == "A"
    assert memory.nearest("closing windows") == "B"
    assert memory.nearest("print this") == "C"
    assert memory.nearest("qqq") == "A"  # nothing in common: the first


def test_many_sources() -> None:
    memory = Memory([(f"number {k} of many", str(k)) for k in range(1500)])
    assert memory.nearest("number 1234 of many") == "1234"
