"""Membership: how well those that a model was trained on are told from others by their loss alone.

In: a loaded predictor, examples that it was not trained on, those that it was. Out: the area under the ROC curve (0.5:
not at all), and the share of members that is found where 1 % of the others are taken for members: 0.01 by chance.
(The attack of Yeom et al., arXiv 1709.01604, section 3; why its true-positive rate counts: Carlini et al., arXiv
2112.03570, section 3.) Whoever trains models of their own to compare with finds more, so these figures are a lower
bound.
"""

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.predicting import metrics
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.use import AnyExamples, Predictor

FALSE_POSITIVES = 0.01
SEED = 0
LEAST = 100  # of the others: with fewer, 1 % of them is none


def figures(
    model: Predictor[AnyExamples], examples: Targeted[AnyExamples], count: int | None, progress: Progress, warn: Warn
) -> Json:
    """`membership_auc`, `membership_tpr` and `membership_examples` ([members, others]) of `count` of either, at most.

    Nothing where nobody asks for it, or, with a warning, where the examples are of other files. Raises ConfigError
    where they are themselves the training split.
    """
    if not count:
        return {}
    if examples.split == "train":
        raise ConfigError(
            "evaluate.membership compares the training split with another one; set evaluate.split to test or val"
        )
    if examples.members is None:
        warn("evaluate.membership needs the data that the model was trained on; it is left out")
        return {}
    progress("telling members", 0, 1)
    members = examples.members()
    inside, outside = (_losses(model, of, count) for of in (members, examples))
    progress("telling members", 1, 1)
    if len(outside) < LEAST:
        warn(
            f"the {examples.split} split has {len(outside)} examples: with fewer than {LEAST} nobody knows what 1 % "
            "of false positives is, and membership_tpr is that of none"
        )
    scores = -np.concatenate([inside, outside])
    return {
        "membership_auc": metrics.roc_auc(scores, np.arange(len(scores)) < len(inside)),
        "membership_tpr": true_positives(-inside, -outside),
        "membership_examples": [len(inside), len(outside)],
    }


def true_positives(members: np.ndarray, others: np.ndarray, false_positives: float = FALSE_POSITIVES) -> float:
    """The share of members (M,) whose score is above that of all but a share of the others (N,)."""
    allowed = int(false_positives * len(others) + 1e-9)
    return float((members > np.sort(others)[::-1][allowed]).mean())


def _losses(model: Predictor[AnyExamples], of: Targeted[AnyExamples], count: int) -> np.ndarray:
    """The losses of some examples, drawn by a fixed seed."""
    which = np.random.default_rng(SEED).permutation(len(of.targets))[:count]
    return model.losses(model.answers(of.read(model, which)), of.targets[which])
