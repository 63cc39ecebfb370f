"""How good translations are: BLEU and chrF by sacrebleu, exact matches, word and phoneme error rates.

Each source may have several right answers. BLEU and chrF take all of them as references; an exact match is one of any;
errors are counted against the nearest.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from llmkit.console.callbacks import Warn
from llmkit.plain import Json
from llmkit.tasks.translate.pairs import holds_script
from llmkit.tasks.translate.settings import Evaluate

Answers = Sequence[Sequence[str]]
CHINESE_FROM = 0.5  # share of the answers that hold Chinese


def figures(
    written: Sequence[str], answers: Answers, settings: Evaluate, parts: Callable[[str], list[str]], warn: Warn
) -> Json:
    """`exact`, and what `evaluate.metric` asks for. `parts`: of an answer, what the phoneme error rate counts."""
    right = sum(text in known for text, known in zip(written, answers, strict=True))
    found: Json = {"exact": right / len(written)}
    if settings.metric == "wer":
        return found | error_rates([parts(text) for text in written], [list(map(parts, known)) for known in answers])
    if find_spec("sacrebleu") is None:
        warn("bleu and chrf need sacrebleu; install it with: pip install '.[translate]' in llmkit's own folder")
        return found
    return found | bleu_and_chrf(written, answers, settings.tokenize)


def bleu_and_chrf(written: Sequence[str], answers: Answers, tokenize: str = "auto") -> Json:
    """`bleu`, `chrf`, and the `signature` of each, by sacrebleu (Post, arXiv 1804.08771)."""
    from sacrebleu.metrics import BLEU, CHRF

    if tokenize == "auto":
        chinese = sum(holds_script(known[0], "han") and not known[0].isascii() for known in answers)
        tokenize = "zh" if chinese > CHINESE_FROM * len(answers) else "13a"
    most = max(map(len, answers))
    # A source with fewer answers than another has its first one several times: that changes no figure.
    references = [[known[place] if place < len(known) else known[0] for known in answers] for place in range(most)]
    bleu, chrf = BLEU(tokenize=tokenize), CHRF()
    found = {
        "bleu": bleu.corpus_score(written, references).score,
        "chrf": chrf.corpus_score(written, references).score,
    }
    return found | {"signature": {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())}}


def error_rates(written: Sequence[list[str]], answers: Sequence[list[list[str]]]) -> Json:
    """`word_error_rate`: share of the words that are said as no answer has it; `phoneme_error_rate`: edits to the
    nearest answer, of its sounds."""
    wrong = edits = total = 0
    for word, known in zip(written, answers, strict=True):
        distance, length = min((edit_distance(word, answer), len(answer)) for answer in known)
        wrong, edits, total = wrong + (distance > 0), edits + distance, total + length
    return {"word_error_rate": wrong / len(written), "phoneme_error_rate": edits / max(total, 1)}


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions that make one of the other (Wagner & Fischer 1974)."""
    before = list(range(len(second) + 1))
    for place, one in enumerate(first, 1):
        row = [place]
        for column, other in enumerate(second, 1):
            row.append(min(before[column] + 1, row[-1] + 1, before[column - 1] + (one != other)))
        before = row
    return before[-1]
