"""Settings of `task: classify`: what each section of the config may say, with defaults and units."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive
from llmkit.config.tune import Range, Tune
from llmkit.config.variants import Chain, Distil, Fuse, Quantize
from llmkit.predicting.settings import Budget, Classifying, Predict, Prune, Scoring, Share, Split as SplitBase

Size = Annotated[int, Meta(ge=1, le=65_536)]
NEGATIONS = (
    "not no never nothing nor neither without hardly cannot can't don't doesn't didn't isn't aren't wasn't weren't "
    "won't wouldn't shouldn't couldn't hasn't haven't hadn't ain't"
)
STARTS_FROM = ("classify", "language")  # tasks whose models `train.start_from` may name


class Split(SplitBase):
    """Which part of the texts is held out: drawn by the seed, each label in its share (stratified)."""

    unique: bool | Literal["passages"] = False  # type: ignore[assignment]
    """true: keep copies of a text in one split, folds likewise; passages: also texts that share a passage of 12 words,
    as messages do that quote each other. Labels then have about their shares."""


class Tokenizer(Section):
    """How text becomes the tokens that the LSTM reads. Trained on the training split only."""

    places = ("file",)

    kind: Literal["auto", "char", "byte", "word", "bpe"] = "auto"
    """char: a token per Unicode character; byte: per UTF-8 byte; word: per word; bpe: byte-level byte-pair encoding.
    auto: word, or char where most of the text is of a script without spaces between words (Chinese, Japanese, Thai)."""
    vocab_size: Annotated[int, Meta(ge=3, le=1_000_000)] = 8000
    """Tokens in the vocabulary, for word (the most frequent) and bpe."""
    lowercase: bool = True
    """Read upper-case letters as lower-case ones."""
    file: str | None = None
    """A tokenizer.json to take in place of training one: that of the model that train.start_from names."""
    max_tokens: Annotated[int, Meta(ge=2, le=100_000)] = 256
    """Tokens of a text that the LSTM reads at most: the first and the last half of them. N-grams see all of it."""


class Ngrams(Section):
    """The features of the linear part. Learnt from the training split only, and so is how they are read: whether
    negations and the beginning of a text count for something else, how naive Bayes is smoothed and logistic regression
    held in, and how much each counts. `llmkit prepare` says what was chosen."""

    words: Annotated[int, Meta(ge=0, le=5)] = 2
    """Longest n-grams of words; 0 takes none. Of scripts without spaces every character is a word."""
    characters: Annotated[int, Meta(ge=0, le=8)] = 6
    """Longest n-grams of characters within a word, from 2 on; 0 takes none."""
    negations: list[str] = field(default_factory=lambda: NEGATIONS.split())
    """Words that may negate, in lower case: those that follow, up to the next punctuation mark, are then other features
    than elsewhere, where that tells held-out texts apart better. [] for none; the default is of English."""
    at_least: Count = 2
    """Training texts that must hold an n-gram of characters for it to be a feature."""
    at_most: Annotated[int, Meta(ge=1, le=3_000_000)] = 300_000
    """Features, the n-grams that say most of the labels. With more than 8 labels there are fewer: features times labels
    are 2.5 million at most."""


class Prepare(Preparing):
    """Labelled texts to examples."""

    places = ("files",)

    files: str | list[str] = ""
    """A glob or a list of globs, relative to the working directory. CSV, TSV and JSON Lines hold an example a row; any
    other file is one example whose label is the name of its folder. A file may be packed as .gz, tables in a .zip."""
    format: Literal["auto", "csv", "tsv", "jsonl", "folders"] = "auto"
    """How files are read; auto goes by their ending (.csv, .tsv/.tab, .jsonl/.ndjson), and anything else is folders."""
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    """Character that parts the columns of CSV; by default the head of a file tells: comma, semicolon, tab or bar."""
    encoding: str = "utf-8"
    """Character encoding of the files."""
    text: str = "text"
    """Column that holds the text."""
    label: str = "label"
    """Column that holds the label, of any number of classes; rows without one are left out."""
    tokenizer: Tokenizer = Tokenizer()
    ngrams: Ngrams = Ngrams()
    split: Split = Split()


class Model(Section):
    """An LSTM over tokens and a linear part over n-grams, whose logits are mixed."""

    embedding_size: Size = 96
    """Numbers per token in the embedding."""
    hidden_size: Size = 64
    """Units of the LSTM in each direction."""
    bidirectional: bool = True
    """Read the text from its end too."""
    dropout: Share = 0.5
    """Dropout of what is pooled over the text."""
    input_dropout: Share = 0.3
    """Dropout of whole tokens and, as much again, of numbers of their embeddings."""
    ngram_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Share of the n-grams' logits in the mixture; 0 leaves them out, 1 the LSTM, which is then not trained either.
    Left open it is fitted to the validation split, and the LSTM is left out where it adds nothing to that. While it
    trains, train_loss is that of the LSTM alone and val_loss that of the mixture."""


class Train(Classifying):
    """Budget and optimizer."""

    default_budget: ClassVar[tuple[str, float]] = ("epochs", 8.0)

    epochs: Positive | None = None
    """Budget in passes over the training split (8 where no budget is named)."""
    max_minutes: Positive | None = None
    """Budget in minutes, from the first step to the last, validation included."""
    batch_size: Count = 64
    """Texts in one optimizer step."""
    learning_rate: Positive = 3e-3
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    """Decoupled weight decay of AdamW; not of biases."""
    patience: Annotated[int, Meta(ge=0)] = 0
    """Stop after this many validations without a better one; 0 never stops early."""
    number_type: Literal["auto", "float32", "bfloat16"] = "float32"
    """Type the matrix products are computed in; auto takes bfloat16 where the processor is faster in it."""
    start_from: str | None = None
    """A trainable model folder whose weights are the start: of this task, or a language model with the same tokenizer
    (prepare.tokenizer.file) and sizes, which gives its embedding and its first layer (for the forward direction)."""


def _search() -> dict[str, Range]:
    return {
        "train.learning_rate": Range(low=1e-3, high=1e-2, log=True),
        "model.dropout": Range(low=0.2, high=0.7),
        "model.input_dropout": Range(low=0.0, high=0.5),
    }


class Search(Tune):
    """The search for better settings. Each trial is a short training with its own schedule."""

    search: dict[str, Range] = field(default_factory=_search)
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""


class Generate(Predict):
    """How labels of texts are predicted. Every key is also an option of `llmkit generate`."""

    prompt: str | list[str] | None = None
    """A text; several give several predictions; - reads standard input, a text a line."""
    prompt_file: str | None = None
    """File of texts: a text a line, or CSV, TSV or JSON Lines with the column that the model was trained on; - is
    standard input."""


Step = Quantize | Prune | Distil[Model] | Fuse[Model]
Variant = Step | Chain[Step] | Budget


class Config(Root):
    """A classifier of texts."""

    task: Literal["classify"] = "classify"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    tune: Search = Search()
    compress: dict[str, Variant] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
    evaluate: Scoring = Scoring()
