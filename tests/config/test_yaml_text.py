"""yaml_text.py: what text means, what is refused, on which line each key stands."""

import re
import string

import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from llmkit.config import yaml_text
from llmkit.config.yaml_text import parse, parse_value
from llmkit.errors import ConfigError


def value(text: str) -> object:
    return parse(f"key: {text}", "file.yaml")[0]["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4", 0.0001),
        ("5E3", 5000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e+2", -50.0),
        ("0.0", 0.0),
        ("12", 12),
        ("-12", -12),
        ("+7", 7),
        ("012", 12),  # not octal
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_numbers_truth_and_null_follow_yaml_1_2(text, expected):
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    # YAML 1.1 makes truth values, a sexagesimal number, a date and a number of these.
    [
        "no",
        "on",
        "yes",
        "off",
        "No",
        "Y",
        "1:30",
        "2024-01-01",
        "1_000",
        "0b101",
        "=",
        "1e",
        "e5",
        "1.2.3",
        "tRue",
    ],
)
def test_other_plain_words_are_text(text):
    assert value(text) == text


@pytest.mark.parametrize(("text", "expected"), [("'1'", "1"), ('"true"', "true"), ("'~'", "~"), ('"1e-4"', "1e-4")])
def test_quoted_values_are_text(text, expected):
    assert value(text) == expected


def test_keys_are_text_whatever_they_look_like():
    assert parse("1: a\ntrue: b\n~: c\non: d", "file.yaml")[0] == {"1": "a", "true": "b", "~": "c", "on": "d"}


def test_an_empty_document_is_none():
    assert parse("", "file.yaml") == (None, {})
    assert parse("# only a comment\n", "file.yaml") == (None, {})


def test_lines_of_nested_keys_and_items():
    text = """\
# a comment
train:
  learning_rate: 5e-3

  batch_size: 4
prepare:
  files:
    - a.txt
    # another comment
    - b.txt
  split: {val: 0.1,
          test: 0.2}
"""
    data, lines = parse(text, "file.yaml")
    assert data == {
        "train": {"learning_rate": 0.005, "batch_size": 4},
        "prepare": {"files": ["a.txt", "b.txt"], "split": {"val": 0.1, "test": 0.2}},
    }
    assert lines == {
        ("train",): 2,
        ("train", "learning_rate"): 3,
        ("train", "batch_size"): 5,
        ("prepare",): 6,
        ("prepare", "files"): 7,
        ("prepare", "files", 0): 8,
        ("prepare", "files", 1): 10,
        ("prepare", "split"): 11,
        ("prepare", "split", "val"): 11,
        ("prepare", "split", "test"): 12,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "file.yaml:3: duplicate key 'a', first given on line 1; keep one"),
        ("a:\n  b: 1\n  'b': 2", "file.yaml:3: duplicate key 'b', first given on line 2; keep one"),
        ("a: 1\n<<: {b: 2}", "file.yaml:2: merge keys (<<) are not supported; write the keys out"),
        ("a: 1\nb: !!int 5", "file.yaml:2: the tag !!int is not supported; leave it out"),
        (
            "a: !!python/object:os.system {}",
            "file.yaml:1: the tag !!python/object:os.system is not supported",
        ),
        ("a: !!set {x}", "file.yaml:1: the tag !!set is not supported"),
        ("a: !mine [1]", "file.yaml:1: the tag !mine is not supported"),
        ("!!map {a: 1}", "file.yaml:1: the tag !!map is not supported"),
        ("a: .inf", "file.yaml:1: .inf is not a finite number"),
        ("a: 1\nb: [2, -.Inf]", "file.yaml:2: -.Inf is not a finite number"),
        ("a: .NaN", "file.yaml:1: .NaN is not a finite number"),
        ("a: 1e999", "file.yaml:1: 1e999 is not a finite number"),
        ("a: " + "9" * 5000, "file.yaml:1: a number of more than 1,000 digits"),
        ("? [a, b]\n: 1", "file.yaml:1: a key must be plain text"),
        ("a: *nowhere", "file.yaml:1: not valid YAML: found undefined alias 'nowhere'"),
        ("a: 1\n---\nb: 2", "file.yaml:2: not valid YAML: found another document"),
        ("a:\n\tb: 1", "file.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: {c: 2", "file.yaml:2: not valid YAML: expected ',' or '}'"),
        ("a: 1\nb: x\0y", "file.yaml:2: not valid YAML: it holds the character U+0000"),
        ("a: \udcff", "file.yaml:1: not valid YAML: it holds the character U+DCFF"),
        ("[" * 600, "file.yaml: nested more than 50 levels deep"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text, "file.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_value_of_an_override_has_no_line():
    assert parse_value("[1, 2e1]", "override x") == [1, 20.0]
    with pytest.raises(ConfigError, match=r"^override x: not valid YAML: "):
        parse_value("{", "override x")
    with pytest.raises(ConfigError, match=r"^override x: \.nan is not a finite number$"):
        parse_value(".nan", "override x")


def test_an_alias_repeats_its_value():
    assert parse("a: &x {b: 1}\nc: *x", "file.yaml")[0] == {"a": {"b": 1}, "c": {"b": 1}}


def test_an_alias_inside_itself_is_refused():
    with pytest.raises(ConfigError, match=r"^file.yaml:2: nested more than 50 levels deep"):
        parse("a: 1\nb: &x [*x]", "file.yaml")


def test_aliases_cannot_multiply_a_small_file_without_bound():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 9):
        text += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"  # a8 would hold 10 ** 9 values
    with pytest.raises(ConfigError, match=r"more than 100,000 values"):
        parse(text, "file.yaml")


# --- properties -------------------------------------------------------------------------------------------

# Letters that YAML gives a meaning to come up often; a surrogate cannot stand in a file.
LETTERS = st.one_of(
    st.sampled_from("~:#-?!&*'\"[]{}<>=|%@` \n\t,." + string.digits + "eEox_naif"),
    st.characters(exclude_categories=["Cs"]),
)
TEXTS = st.text(LETTERS, max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


def kinds(data: object) -> object:
    """The data with each scalar's type beside it, for 1, 1.0 and True are equal in Python."""
    if isinstance(data, dict):
        return {key: kinds(item) for key, item in data.items()}
    if isinstance(data, list):
        return [kinds(item) for item in data]
    return type(data), data


@settings(max_examples=200, deadline=None)
@given(DATA)
@example("1e5")
@example({"0o7": ["1.e3", "on", "012", "1_000", "=", ".5e1"]})
def test_dump_is_read_back_as_it_was_by_parse_and_by_pyyaml(data):
    text = yaml_text.dump(data)
    assert kinds(parse(text, "file.yaml")[0]) == kinds(data)
    assert kinds(yaml.safe_load(text)) == kinds(data)


# PyYAML leaves these unquoted as text, since they are no numbers in YAML 1.1.
ONLY_IN_1_2 = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|0o[0-7]+")


def without_such_texts(data: object) -> bool:
    if isinstance(data, dict):
        return all(without_such_texts(item) for item in data.values())
    if isinstance(data, list):
        return all(map(without_such_texts, data))
    return not (isinstance(data, str) and ONLY_IN_1_2.fullmatch(data))


@settings(max_examples=200, deadline=None)
@given(DATA.filter(without_such_texts), st.booleans())
def test_what_pyyaml_writes_is_read_back_as_it_was(data, flow):
    text = yaml.safe_dump(data, default_flow_style=flow)
    assert kinds(parse(text, "file.yaml")[0]) == kinds(data)


@settings(max_examples=200, deadline=None)
@given(st.text(LETTERS, max_size=60))
def test_any_text_gives_plain_data_or_one_line_with_a_place(text):
    try:
        data, lines = parse(text, "file.yaml")
    except ConfigError as error:
        assert re.fullmatch(r"file\.yaml:[0-9]+: [^\n]+", str(error))
    else:
        assert kinds(parse(yaml_text.dump(data), "file.yaml")[0]) == kinds(data)
        assert all(1 <= line <= len(re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)) for line in lines.values())


KEYS = st.text(string.ascii_letters, max_size=9).map(lambda rest: "k" + rest)  # none that is quoted, as "no" is


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(KEYS, st.lists(st.integers(), max_size=3), min_size=1))
def test_lines_are_those_where_the_keys_stand(data):
    written = yaml_text.dump(data).splitlines()
    _, lines = parse("\n".join(written), "file.yaml")
    assert len(lines) == len(data) + sum(map(len, data.values()))
    for (key, *index), line in lines.items():
        assert written[line - 1].startswith(f"- {data[key][index[0]]}" if index else f"{key}:")
