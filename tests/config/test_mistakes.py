"""Mistakes in a config, variants among them: each is named with line, key and remedy, all of them in one pass."""

import pytest

from llmkit import tasks

KNOWN_TASKS = ", ".join(tasks.TASKS)
LONG = "text '" + f"text {'long ' * 99}"[:60] + "…'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("taks: language", "c.yaml:1: taks: unknown key; did you mean task?"),
        (
            "seed: 1\ntrain:\n  learning_rat: 1",
            "c.yaml:3: train.learning_rat: unknown key; did you mean learning_rate?",
        ),
        (
            "prepare:\n  split:\n    zzz: 1",
            "c.yaml:3: prepare.split.zzz: unknown key; known here: val, test, by",
        ),
        (
            "task: language\ntrain: {private: {epsilon: 3}}",
            "c.yaml:2: train.private: only task: table trains privately; docs/privacy.md says why",
        ),
        (
            "train:\n  learning_rate: fast",
            "c.yaml:2: train.learning_rate: expected a number, got text 'fast'",
        ),
        ("train:\n  learning_rate:", "c.yaml:2: train.learning_rate: expected a number, got null"),
        ("train: {batch_size: 2.5}", "c.yaml:1: train.batch_size: expected a whole number, got 2.5"),
        ("train: {batch_size: true}", "c.yaml:1: train.batch_size: expected a whole number, got true"),
        ("train: {batch_size: [8]}", "c.yaml:1: train.batch_size: expected a whole number, got a list"),
        ("generate: {greedy: no}", "c.yaml:1: generate.greedy: expected true or false, got text 'no'"),
        ("prepare: {field: 3}", "c.yaml:1: prepare.field: expected text or null, got 3"),
        ("train: {batch_size: 0}", "c.yaml:1: train.batch_size: expected a whole number >= 1, got 0"),
        ("train: {steps: -1}", "c.yaml:1: train.steps: expected a whole number >= 1, got -1"),
        ("train: {learning_rate: 0}", "c.yaml:1: train.learning_rate: expected a number > 0.0, got 0"),
        ("model: {dropout: 1}", "c.yaml:1: model.dropout: expected a number < 1.0, got 1"),
        ("train:\n  5", "c.yaml:1: train: expected a section of keys, got 5"),
        (
            "prepare: {tokenizer: char}",
            "c.yaml:1: prepare.tokenizer: expected a section of keys, got text 'char'",
        ),
        ("compress: [int8]", "c.yaml:1: compress: expected a section of keys, got a list"),
        ("prepare:\n  files:\n  - a\n  - 3", "c.yaml:4: prepare.files.1: expected text, got 3"),
        (
            "prepare: {tokenizer: {kind: chat}}",
            "c.yaml:1: prepare.tokenizer.kind: 'chat' is not one of char, byte, word, bpe; did you mean char?",
        ),
        (
            "task: langage",
            f"c.yaml:1: task: 'langage' is not a task; choose from {KNOWN_TASKS}; did you mean language?",
        ),
        ("seed: 1\ntask: [text]", f"c.yaml:2: task: ['text'] is not a task; choose from {KNOWN_TASKS}"),
        (
            "compress:\n  s: {method: quantise}",
            "c.yaml:2: compress.s.method: 'quantise' is not one of quantize, prune, distil, fuse, chain, budget; "
            "did you mean quantize?",
        ),
        (
            "compress:\n  small: {method: [a]}",
            "c.yaml:2: compress.small.method: ['a'] is not one of quantize, prune, distil, fuse, chain, budget",
        ),
        (
            "compress:\n  small: {bits: 8}",
            "c.yaml:2: compress.small: needs method: one of quantize, prune, distil, fuse, chain, budget",
        ),
        (
            "compress:\n  small: {method: quantize, group_size: 32}",
            "c.yaml:2: compress.small: group_size is for bits: 4; leave it out, or set bits: 4",
        ),
        (
            "compress:\n  small: {method: prune, sparsity: 1.0}",
            "c.yaml:2: compress.small.sparsity: expected a number < 1.0, got 1.0",
        ),
        (
            "compress:\n  small: {method: prune, sparsity: 0}",
            "c.yaml:2: compress.small.sparsity: expected a number > 0.0, got 0",
        ),
        (
            "compress:\n  small:\n    method: distil\n    model:\n      hidden_sise: 5",
            "c.yaml:5: compress.small.model.hidden_sise: unknown key; did you mean hidden_size?",
        ),
        (
            "compress:\n  small:\n    method: chain\n    steps:\n    - {method: prune, sparcity: 0.8}",
            "c.yaml:5: compress.small.steps.0.sparcity: unknown key; did you mean sparsity?",
        ),
        (
            "compress:\n  small: {method: chain, steps: {method: quantize}}",
            "c.yaml:2: compress.small.steps: expected a list, got a section of keys",
        ),
        (
            "compress:\n  small: {method: chain, steps: [{method: quantize}, {method: prune}]}",
            "c.yaml:2: compress.small: steps.0: quantized weights cannot be worked on; put quantize last",
        ),
        (
            "compress:\n  small: {method: prune, steps: 5, max_minutes: 1}",
            "c.yaml:2: compress.small.steps: max_minutes and steps are given; name one of max_minutes, steps, epochs",
        ),
        (
            "compress:\n  one: {method: fuse, members: [a, b], steps: 3}",
            "c.yaml:2: compress.one: steps: a soup learns nothing; leave it out, or set how: distil",
        ),
        (
            "compress:\n  one: {method: fuse, members: [a]}",
            "c.yaml:2: compress.one: members: name two model folders at least",
        ),
        (
            "compress:\n  best: {method: budget}",
            "c.yaml:2: compress.best: needs a limit: max_size_mb, max_loss_increase_percent, max_ms_per_token",
        ),
        (
            "compress:\n  small: {method: quantize, bits: 3}",
            "c.yaml:2: compress.small.bits: 3 is not one of 8, 4",
        ),
        (
            "compress:\n  small: {method: quantize, bit: 8}",
            "c.yaml:2: compress.small.bit: unknown key; did you mean bits?",
        ),
        (
            "train:\n  max_minutes: 1\n  steps: 5",
            "c.yaml:3: train.steps: max_minutes and steps are given; name one of max_minutes, steps, epochs",
        ),
        ("evaluate: {require: {loss: 2.3}}", "c.yaml:1: evaluate.require.loss: expected text, got 2.3"),
        (
            "evaluate: {require: {loss: small}}",
            "c.yaml:1: evaluate: require.loss: 'small' is not a comparison such as \"<= 2.3\"",
        ),
        (
            "tune: {search: {train.epochs: {low: 2, high: 1}}}",
            "c.yaml:1: tune.search.train.epochs: needs low and high with low < high, or choices",
        ),
        ("a: 1\nseed: 1\na: 2", "c.yaml:3: duplicate key 'a', first given on line 1; keep one"),
        ("seed: -1", "c.yaml:1: seed: expected a whole number >= 0, got -1"),
        (
            "evaluate: {require: {loss: < 1.2.3}}",
            "c.yaml:1: evaluate: require.loss: '< 1.2.3' is not a comparison such as \"<= 2.3\"",
        ),
        (f"text {'long ' * 99}", f"c.yaml:1: a config is a mapping of sections such as `task: language`, not {LONG}"),
        ("- task", "c.yaml:1: a config is a mapping of sections such as `task: language`, not a list"),
    ],
)
def test_a_mistake_is_named_with_line_key_and_remedy(mistakes, text, message):
    assert mistakes(text) == [message]


def test_all_mistakes_are_reported_in_one_pass(mistakes):
    text = "modle: {}\ntrain:\n  learning_rate: fast\n  stops: 5\nmodel: {layers: 0}\n"
    text += "evaluate: {require: {a: 1}}"
    assert mistakes(text, "generate.top_p=2") == [
        "c.yaml:1: modle: unknown key; did you mean model?",
        "c.yaml:3: train.learning_rate: expected a number, got text 'fast'",
        "c.yaml:4: train.stops: unknown key; did you mean steps?",
        "c.yaml:5: model.layers: expected a whole number >= 1, got 0",
        "c.yaml:6: evaluate.require.a: expected text, got 1",
        "override generate.top_p=2: generate.top_p: expected a number <= 1.0, got 2",
    ]
