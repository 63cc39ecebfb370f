"""`llmkit generate` from the command line: prompts and where they come from, sampling, the JSON, what is kept."""

import json
import re
import shutil

import pytest
import yaml
from run_folders import snapshot

from llmkit.store import artifacts

LONG = ["--max-tokens", "30", "--no-stop-at-document-end"]


def test_the_json_of_generate(llmkit, tiny_run):
    found = llmkit("generate", tiny_run.model, "--prompt", "the ", "--json", *LONG).json
    assert found.keys() >= {"stage", "texts", "tokens", "seconds", "tokens_per_second", "engine"}
    assert (found["stage"], found["engine"], found["tokens"]) == ("generate", "onnxruntime", 30)
    [text] = found["texts"]
    assert (text["prompt"], text["tokens"], text["finish_reason"], len(text["text"])) == ("the ", 30, "length", 30)
    assert found["tokens_per_second"] == pytest.approx(30 / found["seconds"])


def test_the_json_lines_of_generate(llmkit, tiny_run):
    ran = llmkit("generate", tiny_run.model, "--prompt", "a", "--prompt", "b", "--samples", "2", "--jsonl", *LONG)
    assert ran.code == 0
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["prompt"] for row in rows] == ["a", "a", "b", "b"]
    assert [row["tokens"] for row in rows] == [30] * 4
    assert len({row["text"] for row in rows}) == 4


def test_the_same_seed_gives_the_same_text(llmkit, tiny_run):
    def text(*options):
        return llmkit("generate", tiny_run.model, "--prompt", "the ", "--quiet", *LONG, *options).out

    assert text() == text() == text("--seed", "1")
    assert text("--seed", "2") == text("--seed", "2") != text()
    assert len(text()) == len("the ") + 30 + len("\n")


def test_greedy_is_temperature_0_and_needs_no_seed(llmkit, tiny_run):
    def text(*options):
        return llmkit("generate", tiny_run.model, "--prompt", "the ", "--json", *LONG, *options).json["texts"][0][
            "text"
        ]

    assert text("--greedy") == text("--temperature", "0") == text("--top-k", "1", "--seed", "8")


def test_settings_of_the_config_options_and_overrides(llmkit, tiny_copy):
    def tokens(*arguments):
        return llmkit("generate", tiny_copy.config, "--no-stop-at-document-end", "--json", *arguments).json["tokens"]

    assert tokens() == 20
    assert tokens("generate.max_tokens=3") == 3
    assert tokens("generate.max_tokens=3", "--max-tokens", "4") == 4


@pytest.mark.parametrize("options", [[], ["--prompt", ""]])
def test_an_empty_prompt(llmkit, tiny_run, options):
    ran = llmkit("generate", tiny_run.model, "--json", *LONG, *options)
    assert (ran.code, ran.err.count("warning")) == (0, 0)
    assert (ran.json["texts"][0]["prompt"], ran.json["tokens"]) == ("", 30)


def test_unknown_characters_of_a_prompt_are_named_and_read_on(llmkit, tiny_run):
    ran = llmkit("generate", tiny_run.model, "--prompt", "the É dog €", "--quiet", *LONG)
    assert ran.code == 0
    assert ran.out.startswith("the É dog €")
    [line] = ran.err.splitlines()
    assert line.startswith("warning: ")
    assert "'É' (U+00C9)" in line
    assert "'€' (U+20AC)" in line
    assert "'d'" not in line


def test_a_stop_string_ends_the_text_and_is_not_written(llmkit, tiny_run):
    def written(*options):
        ran = llmkit("generate", tiny_run.model, "--prompt", "the ", "--seed", "3", "--json", *LONG, *options)
        return ran.json["texts"][0]

    whole = written()["text"]
    stop = whole[11:14]
    found = written("--stop", stop, "--stop", "not in it")
    assert found["text"] == whole[: whole.index(stop)]
    assert found["finish_reason"] == "stop"
    shown = llmkit("generate", tiny_run.model, "--prompt", "the ", "--seed", "3", "--quiet", *LONG, "--stop", stop)
    assert shown.out == f"the {found['text']}\n"


def test_samples_are_told_apart(llmkit, tiny_run):
    ran = llmkit("generate", tiny_run.model, "--prompt", "the", "--samples", "3", "--quiet", *LONG)
    assert ran.code == 0
    assert re.findall(r"^--- text ([0-9]+)\nthe", ran.out, re.MULTILINE) == ["1", "2", "3"]


def test_prompts_of_files_and_standard_input(llmkit, tiny_run, tmp_path):
    def prompts(*arguments, stdin=None):
        found = llmkit("generate", tiny_run.model, "--json", "--max-tokens", "1", *arguments, stdin=stdin).json
        return [text["prompt"] for text in found["texts"]]

    lines, rows = tmp_path / "prompts.txt", tmp_path / "prompts.jsonl"
    lines.write_text("the fox\n\na dog\n")
    rows.write_text('{"prompt": "one\\ntwo"}\n{"prompt": ""}\n')
    assert prompts("--prompt-file", lines) == ["the fox", "a dog"]
    assert prompts("--prompt-file", rows, "--prompt", "first") == ["first", "one\ntwo", ""]
    assert prompts("--prompt", "-", stdin=b"the fox\n") == ["the fox"]
    assert prompts("--prompt-file", "-", stdin=b"the fox\n\na dog\n") == ["the fox", "a dog"]


def test_prompts_that_cannot_be_read(llmkit, tiny_run, tmp_path):
    ran = llmkit("generate", tiny_run.model, "--prompt-file", tmp_path / "nowhere.txt")
    assert ran.code == 3
    assert "nowhere.txt" in ran.error
    ran = llmkit("generate", tiny_run.model, "--prompt", "-", stdin=b"\xff")
    assert (ran.code, ran.error) == (3, "standard input is not UTF-8 text (byte 0)")


def test_an_empty_prompt_file_is_named(llmkit, tiny_copy, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    ran = llmkit("generate", tiny_copy.config, "--prompt-file", tmp_path / "empty.txt")
    assert ran.code == 3
    assert "holds no prompts" in ran.err


def test_texts_are_kept_beside_a_config_and_not_beside_a_folder(llmkit, tiny_copy):
    before = snapshot(tiny_copy.run_dir)
    llmkit("generate", tiny_copy.model, *LONG)
    assert snapshot(tiny_copy.run_dir) == before
    found = llmkit("generate", tiny_copy.config, "--model", "int8", "--json", *LONG).json
    kept = json.loads((tiny_copy.run_dir / "generated" / "result.json").read_text())
    assert kept["texts"] == found["texts"]
    assert (
        artifacts.read(tiny_copy.run_dir / "generated").manifest["parents"]["model"]
        == artifacts.read(tiny_copy.int8).hash
    )


def test_several_folders_give_rows(llmkit, tiny_run):
    found = llmkit("generate", tiny_run.model, tiny_run.int8, "--json", *LONG).json
    assert found.keys() == {"stage", "models"}
    assert [row["model"] for row in found["models"]] == [str(tiny_run.model), str(tiny_run.int8)]


def test_a_folder_whose_name_has_an_equals_sign(llmkit, tiny_run, tmp_path):
    folder = tmp_path / "lr=0.1"
    shutil.copytree(tiny_run.model, folder)
    assert (
        llmkit("generate", folder, "generate.max_tokens=2", "--json", "--no-stop-at-document-end").json["tokens"] == 2
    )


def test_text_that_looks_like_a_number_survives_in_a_model_folder(llmkit, tiny_copy):
    override = "generate.stop=['1e5', '0o7', 'on']"
    assert llmkit("train", tiny_copy.config, override, "--force").code == 0
    assert llmkit("generate", tiny_copy.model, "--json", *LONG).code == 0
    assert yaml.safe_load((tiny_copy.model / "config.yaml").read_text())["generate"]["stop"] == ["1e5", "0o7", "on"]


def test_a_config_may_have_any_name(llmkit, tiny_copy):
    other = tiny_copy.config.rename(tiny_copy.config.with_name("experiment.conf"))
    assert llmkit("generate", other, "--json", *LONG).json["tokens"] == 30
