"""The linear part: naive Bayes over n-grams of words, the same over those of characters, and logistic regression over
both, stacked.

They err differently: naive Bayes, which has nothing to fit, learns most from rare n-grams (Wang & Manning 2012, section
2.1), logistic regression from many that overlap. Every fifth training text is held out: what the parts say of these,
which they have not seen, chooses the smoothing of naive Bayes and the penalty of logistic regression, and fits how much
each part counts (stacking: Wolpert 1992), so the sum is calibrated about right. Then they are fitted to all. It is one
linear model again: a table with a row for each feature, and a bias. Nothing here is random.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.console.callbacks import Progress
from llmkit.data.ragged import Ragged
from llmkit.plain import Json
from llmkit.predicting import metrics

# Added to each sum of naive Bayes, to which a text gives values whose squares add up to 1.
SMOOTHINGS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
PENALTIES = (0.3, 0.1, 0.03)  # of the squared weights of logistic regression; the more texts, the less they count
HELD_OUT = 5  # every fifth training text is held out
STACKING_PENALTY = 1.0  # keeps the strengths finite where a few texts are told apart without an error
ITERATIONS, MORE_ITERATIONS = 40, 20  # of logistic regression, from nothing and from another penalty on
STACKING_ITERATIONS = 40
PARTS = ("naive Bayes of words", "naive Bayes of characters", "logistic regression")


class Texts:
    """Texts as torch takes them: features, of which the first `words` are n-grams of words, values, labels (N,)."""

    def __init__(self, features: Ragged, values: Ragged, labels: np.ndarray, size: int, words: int, classes: int):
        self.features, self.values, self.labels = features, values, labels
        self.size, self.words, self.classes = size, words, classes
        self.numbers, self.starts = torch.from_numpy(features.numbers), torch.from_numpy(features.starts)
        self.weights = torch.from_numpy(values.numbers)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: np.ndarray) -> "Texts":
        """Some of the texts, by number."""
        parts = self.features.take(which), self.values.take(which), self.labels[which]
        return Texts(*parts, self.size, self.words, self.classes)

    def logits(self, table: Tensor) -> Tensor:
        """(N, C) by a table (size + 1, C)."""
        return _sums(table, self.numbers, self.starts, self.weights)

    def by_feature(self) -> Callable[[Tensor], Tensor]:
        """What takes gradients of the logits (N, C) to those of the table (size + 1, C).

        The texts of each feature, as lists of their own: several times faster than what autograd makes of `logits`,
        which sorts them anew each time.
        """
        order = np.argsort(self.features.numbers, kind="stable")
        texts = torch.from_numpy(np.repeat(np.arange(len(self), dtype=np.int32), self.features.counts)[order])
        counts = np.bincount(self.features.numbers, minlength=self.size + 1)
        starts = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
        weights = torch.from_numpy(self.values.numbers[order])
        return lambda gradients: _sums(gradients, texts, starts, weights)


def _sums(table: Tensor, numbers: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """For each list, which starts are those of, the sum of the table's rows of these numbers, weighed."""
    return F.embedding_bag(
        numbers, table, starts.to(numbers.dtype), mode="sum", per_sample_weights=weights, include_last_offset=True
    )


@dataclass(frozen=True)
class Choice:
    """How the parts are fitted and how much each counts; `chosen` says it, with figures on the texts held out."""

    smoothings: tuple[float, float]
    penalty: float
    strengths: Tensor
    bias: Tensor
    chosen: Json


@dataclass(frozen=True)
class Fitted:
    """The linear model: a table (F + 1, C) float32, whose row 0 is the filling's, and a bias (C,); what was chosen."""

    table: np.ndarray
    bias: np.ndarray
    chosen: Json


@torch.no_grad()
def choose(seen: Texts, unseen: Texts, progress: Progress) -> Choice:
    """Smoothing, penalty and strengths, by texts that the parts and their features have not seen."""
    progress("fitting the linear part", 0, 3)
    smoothings, bayes = _smoothest(seen, unseen)
    progress("fitting the linear part", 1, 3)
    penalty, strengths, bias, figures = _regress(seen, unseen, bayes)
    progress("fitting the linear part", 2, 3)
    chosen = {
        "smoothing": smoothings[0],
        "smoothing_of_characters": smoothings[1],
        "penalty": penalty,
        "strengths": dict(zip(PARTS, strengths.tolist(), strict=True)),
        "held_out": len(unseen),
        **figures,
    }
    return Choice(smoothings, penalty, strengths, bias, chosen)


@torch.no_grad()
def fit(texts: Texts, choice: Choice, progress: Progress) -> Fitted:
    """The linear model of training texts."""
    tables = [*naive_bayes(texts, choice.smoothings), regression(texts, choice.penalty)]
    table = torch.stack(tables, dim=2) @ choice.strengths
    progress("fitting the linear part", 3, 3)
    return Fitted(table.numpy(), choice.bias.numpy(), choice.chosen)


def naive_bayes(texts: Texts, smoothings: tuple[float, float]) -> list[Tensor]:
    """The tables (F + 1, C) of naive Bayes over words and over characters; either is 0 for the other's features."""
    sums = _sums_of_labels(texts)
    found = []
    for smoothing, kind in zip(smoothings, _kinds(texts), strict=True):
        table = torch.zeros(texts.size + 1, texts.classes)
        if kind.stop > kind.start:
            table[kind] = torch.from_numpy(log_ratios(sums[:, kind], smoothing).T.astype(np.float32))
        found.append(table)
    return found


def _kinds(texts: Texts) -> tuple[slice, slice]:
    """The rows of n-grams of words, and of characters."""
    return slice(1, texts.words + 1), slice(texts.words + 1, texts.size + 1)


def _sums_of_labels(texts: Texts) -> np.ndarray:
    """(C, F + 1): the sum of each feature's values over the texts of each label."""
    of = np.repeat(texts.labels.astype(np.int64), texts.features.counts)
    keys = of * (texts.size + 1) + texts.features.numbers
    sums = np.bincount(keys, texts.values.numbers, minlength=texts.classes * (texts.size + 1))
    return sums.reshape(texts.classes, texts.size + 1)


def log_ratios(sums: np.ndarray, smoothing: float) -> np.ndarray:
    """(C, F): how much likelier a text of a label holds a feature than one of another, in logarithms.

    `sums` (C, F) are those of the features' values in the texts of each label. Those of the other labels are what
    complement naive Bayes goes by (Rennie et al. 2003, section 3.1).
    """
    mine = sums + smoothing
    rest = mine.sum(axis=0) - mine
    return np.log(mine / mine.sum(axis=1, keepdims=True)) - np.log(rest / rest.sum(axis=1, keepdims=True))


def _smoothest(seen: Texts, unseen: Texts) -> tuple[tuple[float, float], list[Tensor]]:
    """(the smoothings of words and of characters of least loss on unseen texts, their logits there)."""
    sums, chosen, found = _sums_of_labels(seen), [], []
    for kind in _kinds(seen):
        losses = []
        for smoothing in SMOOTHINGS if kind.stop > kind.start else SMOOTHINGS[:1]:
            table = torch.zeros(seen.size + 1, seen.classes)
            table[kind] = torch.from_numpy(log_ratios(sums[:, kind], smoothing).T.astype(np.float32))
            logits = unseen.logits(table)
            losses.append((_stack([logits], unseen.labels)[2], smoothing, logits))
        _, smoothing, logits = min(losses, key=lambda one: one[0])
        chosen.append(smoothing)
        found.append(logits)
    return (chosen[0], chosen[1]), found


@torch.no_grad()
def quick_loss(seen: Texts, unseen: Texts) -> float:
    """Loss on unseen texts of naive Bayes and a short logistic regression, stacked."""
    _, logits = _smoothest(seen, unseen)
    table = regression(seen, PENALTIES[0], iterations=MORE_ITERATIONS)
    return _stack([*logits, unseen.logits(table)], unseen.labels)[2]


def _regress(seen: Texts, unseen: Texts, bayes: list[Tensor]) -> tuple[float, Tensor, Tensor, Json]:
    """(penalty of least loss beside naive Bayes, strength of each part, bias, figures on unseen texts)."""
    best, least, table = None, np.inf, torch.zeros(seen.size + 1, seen.classes)
    by_feature = seen.by_feature()
    for number, penalty in enumerate(PENALTIES):
        table = regression(seen, penalty, table, by_feature, MORE_ITERATIONS if number else ITERATIONS)
        logits = [*bayes, unseen.logits(table)]
        strengths, bias, loss = _stack(logits, unseen.labels)
        if loss >= least:
            break
        best, least = (penalty, strengths, bias, _figures(logits, strengths, bias, unseen.labels)), loss
    assert best
    return best


def _figures(logits: list[Tensor], strengths: Tensor, bias: Tensor, labels: np.ndarray) -> Json:
    """Loss and accuracy of the parts together, and of each by itself (calibrated), on texts that they have not seen."""
    mixed = (torch.stack(logits, dim=2) @ strengths + bias).numpy()
    alone = {name: _stack([part], labels)[2] for name, part in zip(PARTS, logits, strict=True) if part.abs().sum() > 0}
    return {
        "loss": metrics.log_loss(metrics.softmax(mixed), labels),
        "accuracy": float((mixed.argmax(axis=1) == labels).mean()),
        "losses_alone": alone,
    }


def regression(
    texts: Texts,
    penalty: float,
    start: Tensor | None = None,
    to_table: Callable[[Tensor], Tensor] | None = None,
    iterations: int = ITERATIONS,
) -> Tensor:
    """The table (F + 1, C) of logistic regression, from `start` (else 0) on; its bias is not of interest.

    `to_table` is `texts.by_feature()`, where it has been made.
    """
    to_table = to_table or texts.by_feature()
    table = torch.zeros(texts.size + 1, texts.classes) if start is None else start.clone()
    bias, count = torch.zeros(texts.classes), len(texts)
    targets = F.one_hot(torch.from_numpy(texts.labels.astype(np.int64)), texts.classes).float()

    def loss() -> Tensor:
        logs = F.log_softmax(texts.logits(table) + bias, dim=1)
        gradients = (logs.exp() - targets) / count
        table.grad = to_table(gradients).add_(table, alpha=penalty / count)
        bias.grad = gradients.sum(dim=0)
        return -(logs * targets).sum() / count + penalty / count * table.square().sum() / 2

    _optimizer([table, bias], iterations).step(loss)
    table.grad = None
    return table


@torch.enable_grad()
def _stack(parts: list[Tensor], labels: np.ndarray) -> tuple[Tensor, Tensor, float]:
    """(strength of each part, bias (C,), loss) of least loss on the logits (N, C) of unseen texts."""
    logits, wanted = torch.stack(parts, dim=2), torch.from_numpy(labels.astype(np.int64))  # (N, C, parts)
    there = (logits.flatten(0, 1).abs().sum(dim=0) > 0).float()  # a part without features counts nothing
    strengths = there.div(there.sum().clamp(min=1)).requires_grad_()
    bias = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = _optimizer([strengths, bias], STACKING_ITERATIONS)

    def loss() -> Tensor:
        optimizer.zero_grad()
        pull = STACKING_PENALTY / len(labels) * ((strengths - there).square().sum() + bias.square().sum()) / 2
        found = F.cross_entropy(logits @ strengths.clamp(min=0) + bias, wanted) + pull
        found.backward()
        return found

    optimizer.step(loss)
    with torch.no_grad():
        strengths = strengths.clamp(min=0) * there
        return strengths, bias.detach(), float(F.cross_entropy(logits @ strengths + bias, wanted))


def _optimizer(weights: list[Tensor], iterations: int) -> torch.optim.LBFGS:
    """What moves the weights to the minimum of a convex loss."""
    return torch.optim.LBFGS(weights, max_iter=iterations, history_size=6, line_search_fn="strong_wolfe")
