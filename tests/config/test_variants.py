"""variants.py: sections that are generic in a task's network or in its methods; what a variant cannot be."""

import pytest

from llmkit.config import schema, variants, yaml_text
from llmkit.config.schema import Section
from llmkit.config.variants import Budget, Chain, Distil, Fuse, Prune, Quantize
from llmkit.errors import ConfigError
from llmkit.tasks import TASKS


class Model(Section):
    """A network."""

    width: int = 4


class OtherModel(Section):
    """One of another task."""

    units: int = 4


class FewerBits(Quantize, tag_field="method", tag="quantize"):
    """A task's own."""


Step = FewerBits | Prune | Distil[Model] | Fuse[Model]


class Toy(Section):
    """A config of variants."""

    compress: dict[str, Step | Chain[Step] | Budget] = {}


class Other(Section):
    """A config of another task, which has no chain."""

    compress: dict[str, Quantize | Distil[OtherModel]] = {}


def check(text: str, root: type[Section] = Toy) -> dict:
    data, lines = yaml_text.parse(f"compress:\n{text}", "c.yaml")
    return schema.check(data, root, {place: f"c.yaml:{line}" for place, line in lines.items()}, "c.yaml").compress


def test_a_generic_section_has_the_network_of_its_task():
    assert check("  a: {method: distil, model: {width: 2}}")["a"].model == Model(width=2)
    assert check("  a: {method: distil, model: {units: 2}}", Other)["a"].model == OtherModel(units=2)
    chain = check("  a: {method: chain, steps: [{method: distil, model: {width: 3}}, {method: quantize}]}")["a"]
    assert chain == Chain(steps=[Distil(model=Model(width=3)), FewerBits()])
    assert type(chain.steps[1]) is FewerBits


@pytest.mark.parametrize(
    "variant",
    [
        FewerBits(),
        Prune(how="structured", sparsity=0.25, steps=3),
        Distil(model=Model(width=2), teacher="there", epochs=0.5),
        Fuse(members=["a", "b"], how="distil", model=Model(width=3), temperature=2.0),
        Chain(steps=[Fuse(members=["a", "b"]), Distil(model=Model()), FewerBits()]),
        Budget(max_size_mb=0.5),
    ],
    ids=lambda variant: type(variant).__name__,
)
def test_a_variant_is_the_same_as_data_as_yaml_and_back(variant):
    data = schema.to_data(variant)
    assert data["method"] in ("quantize", "prune", "distil", "fuse", "chain", "budget")
    text = yaml_text.dump({"compress": {"a": data}})
    again = schema.check(yaml_text.parse(text, "c.yaml")[0], Toy, {}, "c.yaml").compress["a"]
    assert again == variant
    assert schema.to_data(again) == data


@pytest.mark.parametrize(
    ("text", "root", "message"),
    [
        (
            "  a:\n    method: distil\n    model:\n      widht: 2",
            Toy,
            "c.yaml:5: compress.a.model.widht: unknown key; did you mean width?",
        ),
        (
            "  a: {method: distil, model: {width: 2}}",
            Other,
            "c.yaml:2: compress.a.model.width: unknown key; known here: units",
        ),
        (
            "  a:\n    method: chain\n    steps:\n    - method: quantize\n    - method: fuse\n      model: {width: x}",
            Toy,
            "c.yaml:7: compress.a.steps.1.model.width: expected a whole number, got text 'x'",
        ),
        (
            "  a:\n    method: chain\n    steps:\n    - {method: distil, model: {}, stepz: 2}",
            Toy,
            "c.yaml:5: compress.a.steps.0.stepz: unknown key; did you mean steps?",
        ),
        (
            "  a:\n    method: chain\n    steps:\n    - {method: chain, steps: []}",
            Toy,
            "c.yaml:5: compress.a.steps.0.method: 'chain' is not one of quantize, prune, distil, fuse",
        ),
        (
            "  a: {method: chain, steps: []}",
            Other,
            "c.yaml:2: compress.a.method: 'chain' is not one of quantize, distil",
        ),
        ("  a: {method: distil, model: 5}", Toy, "c.yaml:2: compress.a.model: expected a section of keys, got 5"),
    ],
)
def test_a_mistake_inside_a_generic_section_is_named_with_its_line(text, root, message):
    with pytest.raises(ConfigError) as caught:
        check(text, root)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prune(steps=1, epochs=1.0), "steps and epochs are given; name one budget: max_minutes, steps, epochs"),
        (lambda: Distil(steps=0), "steps: a student of 0 steps has learned nothing; name 1 at least"),
        (lambda: Fuse(members=["a", "b"], how="distil", steps=0), "steps: a student of 0 steps has learned nothing"),
        (lambda: Fuse(members=["a"]), "members: name two model folders at least"),
        (lambda: Fuse(members=["a", "b", "a"]), "members: a stands there twice"),
        (lambda: Fuse(members=["a", "b"], learning_rate=0.1), "learning_rate: a soup learns nothing; leave it out"),
        (lambda: Fuse(members=["a", "b"], model=Model()), "model: a soup learns nothing; leave it out, or set how: di"),
        (lambda: Chain(), "steps: name one method at least"),
        (lambda: Chain(steps=[Quantize(), Prune()]), "steps.0: quantized weights cannot be worked on; put quantize l"),
        (lambda: Chain(steps=[Prune(), Fuse(members=["a", "b"])]), "steps.1: fuse starts from its members; put it fir"),
        (lambda: Budget(max_minutes=3), "needs a limit: max_size_mb, max_loss_increase_percent"),
    ],
)
def test_a_variant_that_cannot_be(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_what_may_be_left_at_nothing():
    assert Prune(steps=0).steps == 0  # pruned, not fine-tuned
    assert Fuse(members=["a", "b"], how="distil", model=Model(), steps=1).model == Model()
    assert Budget(max_loss_increase_percent=0).limits == {"max_loss_increase_percent": 0}


def test_limits_are_those_that_are_set_the_time_is_none():
    budget = Budget(max_size_mb=2.0, max_minutes=1)
    assert budget.limits == {"max_size_mb": 2.0}
    assert variants.limits_of(budget) == ["max_size_mb", "max_loss_increase_percent"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model", "compress.model: the name is taken: model is what llmkit calls another model"),
        ("tuned", "compress.tuned: the name is taken"),
        ("a/b", "compress.a/b: a variant's name is a folder's: letters, digits, - and _"),
        ("..", "compress...: a variant's name"),
        ("", "compress.: a variant's name"),
        ("-a", "compress.-a: a variant's name"),
    ],
)
def test_names_that_are_no_folder_of_a_variant(name, message):
    variants.check_names({"int8": 1, "small-2.b_c": 2, "größer": 3})
    with pytest.raises(ValueError) as caught:
        variants.check_names({"int8": 1, name: 2})
    assert str(caught.value).startswith(message)


def test_which_quantization_a_task_offers():
    assert variants.quantize_of(Toy) is FewerBits
    assert variants.quantize_of(Other) is Quantize
    for task in TASKS.values():
        assert issubclass(variants.quantize_of(task.settings.Config), Quantize)
    assert TASKS["language"].settings.Quantize is variants.quantize_of(TASKS["language"].settings.Config) != Quantize
