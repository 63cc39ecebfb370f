"""Settings of `task: language`: what each section of the config may say, with defaults and units."""

from typing import Annotated, Literal

from msgspec import Meta, field

from llmkit.config import variants as methods
from llmkit.config.requirements import Evaluate as EvaluateBase
from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Training
from llmkit.config.variants import Chain, Distil, Fuse, Prune
from llmkit.plain import Json

STARTS_FROM = ("language",)  # tasks whose models `train.start_from` may name
Share = Annotated[float, Meta(ge=0, lt=1)]
Dropout = Annotated[float, Meta(ge=0, lt=1)]
Repeats = Annotated[int, Meta(ge=1, le=100_000)]
Size = Annotated[int, Meta(ge=1, le=65_536)]


class Tokenizer(Section):
    """How text becomes token ids. Trained on the training split only."""

    kind: Literal["char", "byte", "word", "bpe"] = "char"
    """char: a token per Unicode character; byte: per UTF-8 byte; word: per word; bpe: byte-level byte-pair encoding."""
    vocab_size: Annotated[int, Meta(ge=2, le=1_000_000)] = 8000
    """Tokens in the vocabulary, for word (the most frequent) and bpe."""


class Split(Section):
    """Which part of the data is held out."""

    val: Share = 0.05
    """Share of the characters used for validation."""
    test: Share = 0.05
    """Share of the characters kept for the final test; 0 makes no test split."""
    by: Literal["position", "document", "hash"] = "position"
    """position: the end of the stream (validation, then test); document: whole documents chosen by the seed;
    hash: whole documents chosen by their text, so that adding documents moves no other and copies stay together."""


class Canaries(Section):
    """Random secrets planted in the training split alone, so that `llmkit evaluate` can tell how much of them a model
    gives away (Carlini et al., arXiv 1802.08232). For measuring: a model that is to be shipped does without."""

    count: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Secrets for each number of repeats; as many that are not planted stand beside them."""
    repeats: Annotated[list[Repeats], Meta(min_length=1, max_length=20)] = field(default_factory=lambda: [1, 4, 16, 64])
    """How often each secret is planted, each copy somewhere else."""

    def __post_init__(self) -> None:
        if len(set(self.repeats)) < len(self.repeats):
            raise ValueError("repeats: each number once; raise count for more secrets")


class Prepare(Preparing):
    """Raw files to arrays of token ids."""

    places = ("files",)
    silent = ("canaries", "licence")

    files: str | list[str] = ""
    """A glob or a list of globs, relative to the working directory; ** descends into folders. Read in the order of the
    list, sorted within a glob. A file may be packed as .gz or, with others, in a .zip."""
    format: Literal["auto", "text", "csv", "tsv", "jsonl"] = "auto"
    """How a file is read; auto goes by its ending (.csv, .tsv/.tab, .jsonl/.ndjson, anything else is text). In a TSV
    quote marks are text."""
    field: str | None = None
    """Column (CSV, TSV) or field (JSON Lines) that holds the text; each row is a document."""
    encoding: str = "utf-8"
    """Character encoding of the files."""
    clean: str | list[str | Json] = "standard"
    """A preset or an ordered list of presets and steps, each a name or {name: parameter}. Presets: standard (unicode,
    line_ends), markdown (these and strip_markdown), letters (lower-case letters and spaces only), none. Steps with
    their default parameter: unicode: NFC, line_ends, strip_markdown, lowercase, squeeze_space, keep: "a-z ",
    mask: [email, phone, number] (written as <email> and so on), drop_duplicates: documents (or lines)."""
    tokenizer: Tokenizer = Tokenizer()
    split: Split = Split()
    canaries: Canaries | None = None
    """Random secrets to plant in the training split; by default none."""
    workers: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Processes that encode words and BPE; by default as many as there are processors, where there is much to encode.
    What is prepared is the same."""


class Model(Section):
    """The LSTM's sizes and its regularisation."""

    embedding_size: Size | None = None
    """Numbers per token in the embedding; by default about 8 times the cube root of the vocabulary's size: 32 for
    the characters of a European language, 160 for 8,000 tokens."""
    hidden_size: Size = 448
    """Units per LSTM layer."""
    layers: Annotated[int, Meta(ge=1, le=8)] = 1
    """LSTM layers."""
    dropout: Dropout | None = None
    """Dropout between layers and before the output, one mask for all time steps. By default as much as a text needs
    that is read so often: 0.15 for 6 passes over the training split, 0.25 for 20 or more, in proportion between and
    below; a network of less than 0.9 million weights gets less, by the square root of their share. The passes of a
    budget in minutes follow from a few steps that are timed before it starts."""
    input_dropout: Dropout | None = None
    """Dropout of the embedded inputs, one mask for all time steps; by default likewise, 0.05 at most."""
    recurrent_dropout: Dropout | None = None
    """Dropout of the recurrent weights (weight drop), one mask per window; by default likewise, 0.15 at most."""
    tie_weights: bool | None = None
    """Share the embedding's weights with the output layer; by default where the vocabulary has 1,000 tokens or more."""


class Train(Training):
    """Budget, optimizer and reading of the training stream."""

    silent = (*Training.silent, "ngram_least_count")

    sequence_length: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Tokens per window of back-propagation; each window's own length varies by a fifth around it."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: momentum whose steps are made orthogonal for the weights of the LSTM's gates, AdamW for the others; adamw:
    AdamW for all. Where a small vocabulary leaves the embedding untied, Muon's steps are longer in a training of less
    than 3,000 steps, twice as long in one of 300."""
    state_resets: Share = 0.02
    """Share of windows that a stream enters with a zero state, not the carried one: the model learns to start cold."""
    ngram: bool = False
    """Mix an n-gram model of the training split (2 MB at most) with the LSTM."""
    ngram_least_count: Annotated[int, Meta(ge=2, le=1_000_000)] | None = None
    """Leave n-grams out of that model that stand in the training split fewer times: what was read once is not given
    away (docs/privacy.md). By default those that save least go, however often they stand there."""


class Generate(Section):
    """How text is written. Every key is also an option of `llmkit generate`."""

    places = ("prompt", "prompt_file")

    prompt: str | list[str] | None = None
    """Text to go on from; several give several texts; - reads standard input. Empty starts a document."""
    prompt_file: str | None = None
    """File with one prompt per line (.jsonl: a field "prompt" per line); - is standard input."""
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    """Tokens to write after each prompt."""
    samples: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Texts to write for each prompt."""
    temperature: Annotated[float, Meta(ge=0, le=100)] = 0.8
    """Divides the logits before sampling: lower is safer, 0 is greedy."""
    top_k: Annotated[int, Meta(ge=0)] = 0
    """Sample from the k likeliest tokens; 0 from all."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.95
    """Sample from the likeliest tokens that together have this probability."""
    min_p: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Leave out tokens less likely than this share of the likeliest."""
    repetition_penalty: Annotated[float, Meta(ge=1)] = 1.0
    """Makes tokens of the last 64 less likely (Keskar et al., arXiv 1909.05858); 1 is off."""
    greedy: bool = False
    """Always take the likeliest token."""
    stop: str | list[str] = []
    """Text (or texts) at which writing ends; it is not written."""
    stop_at_document_end: bool = True
    """End where the model ends the document."""
    explain: bool = False
    """Say how surprising each token of prompt and text is, in bits (of the model itself, before sampling)."""


class Evaluate(EvaluateBase):
    """What is measured and what is required."""

    silent = ("memorised",)

    dynamic: bool = False
    """Measure dynamic_loss too: the weights learn from the text as it is scored (Krause et al., arXiv 1709.07432).
    Needs the extra `train` and a model with float weights."""
    memorised: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Passages of the training split, and as many held-out ones, whose first 50 tokens the model is to go on from:
    says how many it continues word for word, and how far (after Carlini et al., arXiv 2202.07646), 1000 for example."""


class Quantize(methods.Quantize, tag_field="method", tag="quantize"):
    """Weights of fewer bits. Of 8: activations are quantized as they come (dynamic). Of 4: in groups that share a
    scale, rounded so that the outputs on text of the training split stay (GPTQ, Frantar et al., arXiv 2210.17323)."""

    bits: Literal[8, 4] = 8  # type: ignore[assignment]
    """Bits per weight."""
    group_size: Literal[16, 32, 64, 128] | None = None
    """For bits: 4, weights that share a scale of 16 bits; by default 32, which makes 4.5 bits a weight."""
    output_bits: Literal[8, 4] | None = None
    """For bits: 4, bits per weight of the embedding and the output layer; by default 8."""
    calibration_tokens: Annotated[int, Meta(ge=1)] | None = None
    """For bits: 4, tokens of the training split that the rounding goes by; by default 65,536."""

    def __post_init__(self) -> None:
        for name in ("group_size", "output_bits", "calibration_tokens"):
            if self.bits != 4 and getattr(self, name) is not None:
                raise ValueError(f"{name} is for bits: 4; leave it out, or set bits: 4")


class Budget(methods.Budget, tag_field="method", tag="budget"):
    """The best model within limits: methods and settings are tried for a time, each candidate measured on this
    machine. Of those that fit the one of least loss is taken, or the smallest where only the loss is limited."""

    max_ms_per_token: methods.Positive | None = None
    """Most milliseconds per token in one stream."""


Step = Quantize | Prune | Distil[Model] | Fuse[Model]
Variant = Step | Chain[Step] | Budget


class Config(Root):
    """A language model experiment."""

    task: Literal["language"] = "language"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    compress: dict[str, Variant] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
    evaluate: Evaluate = Evaluate()
