"""How large a vocabulary of BPE is by default."""

from llmkit.tasks.translate.vocabulary import usual_size


def test_the_usual_size_grows_with_the_square_root_of_the_text() -> None:
    assert [usual_size(n) for n in (10, 250_000, 1_000_000, 10_000_000)] == [300, 2000, 4000, 8000]
