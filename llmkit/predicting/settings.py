"""Settings that tasks which predict a label share."""

from typing import Annotated, Literal

from msgspec import Meta

from llmkit.config import variants as methods
from llmkit.config.requirements import Evaluate
from llmkit.config.schema import Section
from llmkit.config.training import Positive, Training

Share = Annotated[float, Meta(ge=0, lt=1)]


class Split(Section):
    """Which part of the examples is held out: drawn by the seed, each label in its share (stratified)."""

    val: Share = 0.1
    """Share of the examples used for validation: best weights, early stopping, the temperature of the probabilities."""
    test: Share = 0.2
    """Share of the examples kept for the final test; 0 makes no test split."""
    unique: bool = False
    """Keep copies of an example in one split, folds likewise; labels then have about their shares."""


class Averaging(Training):
    """Budget and optimizer of a network whose averaged weights are kept."""

    average: Share = 0.98
    """Decay per step of the running average of the weights, which is what is validated and kept; 0 keeps the last."""


class Predicting(Averaging):
    """Budget and optimizer of a network that predicts something of examples."""

    folds: Annotated[int, Meta(ge=2, le=100)] | None = None
    """Cross-validate first, with so many folds of all examples: each fold's model is trained like the model itself and
    scored on the part left out. The figures are in the result, as folds and mean_…; the model itself follows after."""


class Classifying(Predicting):
    """Budget and optimizer of a classifier."""

    class_weights: Literal["none", "balanced"] = "none"
    """balanced: errors count more for rare labels, as if all labels were equally frequent. Probabilities are then those
    of data in which they are."""
    label_smoothing: Share = 0.0
    """Share of the target's probability that is spread over all labels."""


class Private(Section):
    """Differential privacy of the training rows: what the weights tell of any single one is bounded (DP-SGD: Abadi et
    al., arXiv 1607.00133). See docs/privacy.md for what the bound covers."""

    epsilon: Positive
    """The bound: whatever is made of the weights is at most e^epsilon times as likely with a row as without it, but
    for `delta`. 1 is strong, 10 weak."""
    delta: Annotated[float, Meta(gt=0, lt=1)] = 1e-5
    """Probability that the bound does not hold; far less than one in the number of training rows."""
    clip: Positive = 1.0
    """Largest norm of one row's gradient, in place of gradient_clip; the noise is a multiple of it."""


def check_private(train: Classifying) -> None:
    """Raise ValueError for settings beside `private` that would read the training rows without noise."""
    why = {
        "max_minutes": "the noise follows from the number of steps; give steps or epochs as the budget",
        "start_from": "the weights that training starts from may tell of the same rows; leave it out",
        "folds": "each fold trains on the rows once more; leave them out",
        "class_weights": "they are counted without noise; leave them out",
    }
    for name, reason in why.items():
        if getattr(train, name) not in (None, "none"):
            raise ValueError(f"private and {name} do not go together: {reason}")
    if train.number_type != "float32":
        raise ValueError("private computes in float32; set number_type: float32")


class Prune(methods.Prune, tag_field="method", tag="prune"):
    """Weights are left out, and the rest is fine-tuned with the original as teacher. Where no budget is named, for a
    third of the original's `train` budget."""

    how: Literal["unstructured"] = "unstructured"
    """Single weights become zero, a few more with each step."""
    sparsity: methods.Share = 0.5
    """Share of the weights (in matrices) that goes."""


class Budget(methods.Budget, tag_field="method", tag="budget"):
    """The best model within limits: methods and settings are tried for a time, each candidate measured on this
    machine. Of those that fit the one of least loss is taken, or the smallest where only the loss is limited."""

    max_ms_per_example: methods.Positive | None = None
    """Most milliseconds for one example by itself."""


class Predict(Section):
    """How labels are predicted. Every key is also an option of `llmkit generate`."""

    places = ("prompt", "prompt_file")

    prompt: str | list[str] | None = None
    """What to predict the label of; several give several predictions; - reads standard input."""
    prompt_file: str | None = None
    """File of what to predict the labels of; - is standard input."""
    output: Literal["table", "csv", "jsonl", "html"] = "table"
    """How predictions are printed: a table for people, CSV, a JSON object a line, or a page of HTML."""
    explain: bool = False
    """Say why: what each part of the example (word, column) adds to what is predicted."""


class Scoring(Evaluate):
    """What is measured and what is required."""

    silent = ("membership",)

    explain: Annotated[int, Meta(ge=0)] = 0
    """So many examples are explained: how much the right label's probability falls (a number: moves) without the most
    important tenth of an example's parts, beside a random tenth, and what counts over all; 0 leaves it out."""
    membership: Annotated[int, Meta(ge=1)] | None = None
    """So many training examples, and as many of the split, are told apart by their loss (Yeom et al., arXiv
    1709.01604): membership_auc, and membership_tpr, the share found with 1 % of false positives. By default none."""
