"""requirements.py: figures that must hold (`evaluate.require`), exit code 4 where one does not."""

import re


def test_a_requirement_that_is_not_met_exits_with_4(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, 'evaluate.require={bits_per_byte: "< 0.5", loss: ">= 0"}')
    assert ran.code == 4
    assert re.search(r"error: a requirement is not met: model: bits_per_byte is [0-9.]+, required: < 0.5\n$", ran.err)
    assert "bits_per_byte" in ran.out  # the figures are shown all the same


def test_a_requirement_that_is_not_met_keeps_the_figures_in_the_json(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, 'evaluate.require={bits_per_byte: "< 0.5"}', "--json")
    assert ran.code == 4
    assert ran.json["bits_per_byte"] > 0.5
    assert "bits_per_byte" in ran.error


def test_requirements_are_checked_for_each_model_and_again_when_up_to_date(llmkit, tiny_copy):
    models = ["--model", "model", "--model", "int8"]
    assert llmkit("evaluate", tiny_copy.config, *models, 'evaluate.require={perplexity: "> 1"}').code == 0
    ran = llmkit("evaluate", tiny_copy.config, *models, "evaluate.require={perplexity: < 1.5}", "--json")
    assert ran.code == 4
    assert [row["up_to_date"] for row in ran.json["models"]] == [True, True]
    assert ran.error.count("perplexity is") == 2


def test_a_requirement_on_no_figure_exits_with_2(llmkit, tiny_copy):
    ran = llmkit("evaluate", tiny_copy.config, "evaluate.require={bits_per_bite: < 3}")
    assert ran.code == 2
    assert ran.error.startswith("evaluate.require: 'bits_per_bite' is no figure; there are: loss, bits_per_byte")
    again = llmkit("evaluate", tiny_copy.config, "evaluate.require={bits_per_bite: < 3}")
    assert again.error == ran.error
