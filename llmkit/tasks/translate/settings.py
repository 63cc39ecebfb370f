"""Settings of `task: translate`: what each section of the config may say, with defaults and units."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from llmkit.config import variants as methods
from llmkit.config.requirements import Evaluate as EvaluateBase
from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive, Training
from llmkit.config.tune import Range, Tune
from llmkit.config.variants import Chain, Distil, Fuse, Quantize
from llmkit.predicting.settings import Prune

STARTS_FROM = ("translate",)  # tasks whose models `train.start_from` may name
Share = Annotated[float, Meta(ge=0, lt=1)]
Layers = Annotated[int, Meta(ge=1, le=24)]


class Tokenizer(Section):
    """How a text becomes token ids. Trained on the training split only."""

    kind: Literal["bpe", "char", "byte", "symbols"] = "bpe"
    """bpe: byte-level byte-pair encoding; char: a token per Unicode character; byte: per UTF-8 byte; symbols: a token
    per symbol, which blanks part, such as the sounds of a word."""
    vocab_size: Annotated[int, Meta(ge=2, le=1_000_000)] | None = None
    """Tokens of bpe; by default 4 times the square root of the characters that it is trained on, 8,000 at most."""


class Split(Section):
    """Which part of the pairs is held out: by their sources, so that pairs of about the same one stay together."""

    val: Share = 0.05
    """Share of the pairs used for validation."""
    test: Share = 0.05
    """Share of the pairs kept for the final test; 0 makes no test split."""
    mask_numbers: bool = True
    """Take sources that differ in their numbers alone for the same one; false where numbers are what is to be learnt.
    Capitals and punctuation never make a difference."""


class Prepare(Preparing):
    """Pairs of texts to arrays of token ids."""

    places = ("files", "source_files", "target_files")

    files: str | list[str] = ""
    """A glob or a list of globs, relative to the working directory: CSV, TSV or JSON Lines with a pair a row. A file
    may be packed as .gz or, with others, in a .zip."""
    source_files: str | list[str] = ""
    """In place of `files`: text files with a source a line."""
    target_files: str | list[str] = ""
    """Text files with as many lines as `source_files`, their targets."""
    format: Literal["auto", "csv", "tsv", "jsonl"] = "auto"
    """How a file of rows is read; auto goes by its ending or, where that does not tell, by its first line."""
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    """Character that parts the columns of CSV; by default the head of a file tells: comma, semicolon, tab or bar."""
    encoding: str = "utf-8"
    """Character encoding of the files."""
    source: str = "source"
    """Column of what is translated."""
    target: str = "target"
    """Column of what it becomes. A source that stands in several rows has several right answers."""
    reverse: bool = False
    """Swap source and target: the other direction of the same files."""
    tokenizer: Tokenizer = Tokenizer()
    target_tokenizer: Tokenizer | None = None
    """That of the targets, with a vocabulary of its own; by default sources and targets share one."""
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Longest source and target, in tokens; longer pairs are left out, and counted."""
    keep_copies: bool = False
    """Keep pairs whose target is their source; by default they are left out, and counted."""
    source_script: Literal["any", "latin", "han", "cyrillic", "greek", "arabic", "hangul", "kana"] = "any"
    """Script that a source must hold a letter of; other pairs are in the wrong language, left out, and counted."""
    target_script: Literal["any", "latin", "han", "cyrillic", "greek", "arabic", "hangul", "kana"] = "any"
    """The same of targets."""
    split: Split = Split()


class Model(Section):
    """A Transformer of an encoder and a decoder, norms before each part (Vaswani et al., arXiv 1706.03762; Xiong et
    al., arXiv 2002.04745), with one embedding for sources, targets and the output."""

    hidden_size: Annotated[int, Meta(ge=2, le=4096)] = 256
    """Numbers per token; even, and a multiple of `heads`."""
    heads: Annotated[int, Meta(ge=1, le=64)] = 4
    """Parts that attention is split into."""
    encoder_layers: Layers = 3
    """Layers that read the source."""
    decoder_layers: Layers = 2
    """Layers that write the target, one step for each of its tokens: few make writing fast (Kasai et al., arXiv
    2006.10369)."""
    feedforward_size: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    """Units of the two layers after each attention; by default twice `hidden_size`."""
    dropout: Share = 0.1
    """Dropout of the embedded tokens, of attention, and of what each part adds."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads or self.hidden_size % 2:
            raise ValueError(f"hidden_size {self.hidden_size} must be even and a multiple of heads ({self.heads})")


class Train(Training):
    """Budget and optimizer."""

    default_budget: ClassVar[tuple[str, float]] = ("max_minutes", 10.0)

    max_minutes: Positive | None = None
    """Budget in minutes, from the first step to the last, validation included (10 where no budget is named)."""
    batch_size: Count = 1024
    """Tokens in one optimizer step: pairs of about one length, padded, of the source or of the target, whichever has
    more. On a CPU many steps count for more than large ones; more tokens keep a GPU busy."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: momentum whose steps are made orthogonal for the matrices of the layers, AdamW for the embedding and the
    rest; adamw: AdamW for all."""
    learning_rate: Positive = 5e-3
    """Peak learning rate of the optimizers."""
    warmup_steps: Annotated[int, Meta(ge=0)] = 200
    """Steps over which the learning rate rises from 0 to its peak (a tenth of the budget at most); then it falls along
    a half cosine."""
    label_smoothing: Share = 0.1
    """Share of the target's probability that is spread over all tokens."""
    average: Share = 0.99
    """Decay per step of the running average of the weights, which is what is validated and kept; 0 keeps the last."""


def _search() -> dict[str, Range]:
    return {
        "train.learning_rate": Range(low=5e-4, high=5e-3, log=True),
        "model.dropout": Range(low=0.0, high=0.4),
        "train.label_smoothing": Range(low=0.0, high=0.2),
    }


class Search(Tune):
    """The search for better settings. Each trial is a short training with its own schedule."""

    search: dict[str, Range] = field(default_factory=_search)
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""


class Generate(Section):
    """How translations are searched for. Every key is also an option of `llmkit generate`."""

    places = ("prompt", "prompt_file")

    prompt: str | list[str] | None = None
    """What to translate; several give several translations; - reads standard input, a source a line."""
    prompt_file: str | None = None
    """File of sources: one a line, or CSV, TSV or JSON Lines with the column that the model was trained on; - is
    standard input."""
    beam: Annotated[int, Meta(ge=1, le=64)] = 4
    """Partial translations kept at each step."""
    length_penalty: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Translations are compared by log-probability over ((5 + tokens) / 6) to this power (Wu et al., arXiv 1609.08144,
    section 7): 0 favours short ones."""
    n_best: Annotated[int, Meta(ge=1, le=64)] = 1
    """Translations of each source that are shown, the best first; `beam` at most."""
    max_length: Annotated[int, Meta(ge=1, le=4096)] | None = None
    """Tokens after which a translation is cut off; by default 3 times those of the source and 20 more."""
    max_repeats: Annotated[int, Meta(ge=1)] = 4
    """Most times that the same tokens, up to 8, come one after the other: a translation never turns in a circle."""
    greedy: bool = False
    """Always take the likeliest token: a beam of 1."""

    def __post_init__(self) -> None:
        if self.n_best > (1 if self.greedy else self.beam):
            raise ValueError(f"n_best {self.n_best} is more than beam {1 if self.greedy else self.beam}; raise beam")


class Evaluate(EvaluateBase):
    """How models are scored."""

    metric: Literal["bleu", "wer"] = "bleu"
    """bleu: BLEU and chrF by sacrebleu (extra `translate`); wer: word and phoneme error rate, where a source is a word,
    its targets are the ways to say it, and any of them is right."""
    tokenize: Literal["auto", "13a", "zh", "char", "none"] = "auto"
    """How sacrebleu cuts texts into words; auto takes zh where most letters of the answers are Chinese, else 13a."""
    max_examples: Count = 2000
    """Sources that are translated, spread over the split; the loss is that of all pairs."""


class Budget(methods.Budget, tag_field="method", tag="budget"):
    """The best model within limits: methods and settings are tried for a time, each candidate measured on this
    machine. Of those that fit the one of least loss is taken, or the smallest where only the loss is limited."""

    max_ms_per_sentence: methods.Positive | None = None
    """Most milliseconds for one translation by itself."""


Step = Quantize | Prune | Distil[Model] | Fuse[Model]
Variant = Step | Chain[Step] | Budget


class Config(Root):
    """A model that turns one sequence into another."""

    task: Literal["translate"] = "translate"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    tune: Search = Search()
    compress: dict[str, Variant] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
    evaluate: Evaluate = Evaluate()
