"""Texts that quote each other are found, whatever stands around the passage that they share."""

import numpy as np
from hypothesis import given, strategies as st

from llmkit.tasks.classify import fitting, passages

GENERATOR = np.random.default_rng(0)
WORDS = np.array([f"word{k}" for k in range(5000)])


def said(count):
    return GENERATOR.choice(WORDS, count).tolist()


def text(*parts):
    return " ".join(word for part in parts for word in part)


def test_those_that_share_a_passage_are_one_group_and_others_are_not():
    quoted, short, form = said(12), said(11), said(30)
    texts = [
        text(said(20), quoted, said(3)),
        text(said(40)),
        text(quoted, said(9), short),  # with the first, and only almost with the fourth
        text(said(5), short, said(5)),
        *(text(said(4), form) for _ in range(passages.MOST_TEXTS + 1)),  # so many share it: a form
    ]
    groups = passages.groups(texts)
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == len(texts) - 1


def test_a_chain_of_quotations_is_one_group_and_so_are_copies():
    one, other = said(15), said(15)
    texts = [text(one), text(said(3), one, other), text(other, said(2)), "Short.", "short."]
    assert passages.groups(texts).tolist() == [0, 0, 0, 1, 1]


def test_where_there_are_many_passages_a_share_finds_the_long_ones(monkeypatch):
    monkeypatch.setattr(passages, "MOST_PASSAGES", 500)
    quoted = said(200)
    texts = [text(said(300), quoted), text(quoted, said(300)), text(said(300))]
    assert passages.groups(texts).tolist() == [0, 0, 1]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "ü", "中"]), max_size=30).map(" ".join), max_size=8))
def test_groups_are_those_of_a_plain_loop(texts):
    def shares(one, other):
        runs = [
            {tuple(words[k : k + passages.WORDS]) for k in range(len(words) - passages.WORDS + 1)}
            for words in (one.split(), other.split())
        ]
        return one == other or bool(runs[0] & runs[1])

    expected = list(range(len(texts)))
    for _ in texts:  # the lowest number spreads along every link
        for i in range(len(texts)):
            for j in range(len(texts)):
                if shares(texts[i], texts[j]):
                    expected[i] = min(expected[i], expected[j])
    found = passages.groups(texts).tolist()
    assert [found.index(group) for group in found] == [expected.index(group) for group in expected]


def test_no_held_out_text_is_quoted_by_one_that_is_learnt_from():
    groups = np.repeat(np.arange(60), GENERATOR.integers(1, 4, 60))
    held_out = fitting.unquoted(groups)
    assert not set(groups[held_out]) & set(groups[~held_out])
    assert 0.1 < held_out.mean() < 0.3


def test_without_quotations_and_with_nothing_else_every_fifth_text_is_held_out():
    fifth = np.arange(100) % 5 == 0
    assert (fitting.unquoted(np.arange(100)) == fifth).all()
    assert (fitting.unquoted(np.zeros(100, int)) == fifth).all()


def test_the_user_hears_of_quotations_and_can_keep_them_together(text_fresh, llmkit):
    rows = ["text,label"]
    for label in ("dull", "bright"):
        for _ in range(20):
            quoted = said(14)
            rows += [f"{text(said(2), quoted)},{label}", f"{text(quoted, said(3))},{label}"]
    text_fresh.table.write_text("\n".join(rows))
    ran = llmkit("prepare", text_fresh.config)
    assert "share passages of 12 words with training texts" in ran.err and "unique: passages" in ran.err
    ran = llmkit("prepare", text_fresh.config, "prepare.split.unique=passages")
    assert "passages of 12 words" not in ran.err
    of = np.load(text_fresh.run_dir / "prepared" / "split.npy")
    assert (of[0::2] == of[1::2]).all() and len(set(of.tolist())) == 3
