"""Small corpora prepared for `task: language`, and their splits read back as text."""

import json

import numpy as np
from tokenizers import Tokenizer as HuggingFace

from llmkit.tasks.language.prepare import prepare
from llmkit.tasks.language.settings import Prepare, Split, Tokenizer

B = "|"  # stands for the boundary in the texts of the tests; it is in no text


def run(folder, texts, seed=1, warn=lambda message: None, **keys):
    """Prepare these texts, one file each; keys as in the config, `split` and `tokenizer` as dicts."""
    source, out = folder / "source", folder / "out"
    for place in (source, out):
        place.mkdir(exist_ok=True)
    for i, text in enumerate(texts):
        (source / f"{i:03}.txt").write_bytes(text.encode())
    keys["split"] = Split(**keys.get("split", {}))
    keys["tokenizer"] = Tokenizer(**keys.get("tokenizer", {}))
    keys.setdefault("files", str(source / "*.txt"))
    meta = prepare(Prepare(**keys), seed, out, folder / "work", lambda *a: None, warn)
    assert list((folder / "work").iterdir()) == []
    assert json.loads((out / "meta.json").read_text()) == meta
    return meta


def text_of(folder, name):
    """The text of a split, decoded by the `tokenizers` package, with B for boundaries."""
    ids = np.load(folder / "out" / f"{name}.npy", mmap_mode="r")
    tokenizer = HuggingFace.from_file(str(folder / "out" / "tokenizer.json"))
    return tokenizer.decode(ids.tolist(), skip_special_tokens=False).replace("<|endoftext|>", B)
