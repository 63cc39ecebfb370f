"""Every module of the package has its test where one looks for it: llmkit/x/y.py is tested by tests/x/test_y.py.

A module without such a twin has an entry in COVERED_BY: the test file that covers it, which must mention the module or
one of its public functions and classes, so that no entry outlives what it says.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

COVERED_BY = {
    "llmkit/cli/commands.py": "tests/cli/test_main.py",
    "llmkit/compression/fine_tuning.py": "tests/compression/test_sparse.py",
    "llmkit/config/encryption.py": "tests/stages/test_encrypt.py",
    "llmkit/console/messages.py": "tests/cli/test_main.py",
    "llmkit/data/missing.py": "tests/data/test_labels.py",
    "llmkit/errors.py": "tests/cli/test_mistakes.py",
    "llmkit/predicting/compress.py": "tests/tasks/table/test_compress.py",
    "llmkit/predicting/evaluate.py": "tests/tasks/table/test_table.py",
    "llmkit/predicting/output.py": "tests/tasks/table/test_table.py",
    "llmkit/predicting/private_learner.py": "tests/tasks/table/test_private.py",
    "llmkit/predicting/regressor.py": "tests/tasks/table/test_numbers.py",
    "llmkit/predicting/settings.py": "tests/tasks/table/test_compress.py",
    "llmkit/predicting/use.py": "tests/tasks/table/test_compress.py",
    "llmkit/stages/folds.py": "tests/tasks/table/test_table.py",
    "llmkit/tasks/classify/labelled.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/evaluate.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/folds.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/generate.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/network.py": "tests/tasks/classify/test_graph.py",
    "llmkit/tasks/classify/prepare.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/settings.py": "tests/tasks/classify/test_compress.py",
    "llmkit/tasks/classify/texts.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/train.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/classify/use.py": "tests/tasks/classify/test_classify.py",
    "llmkit/tasks/image/evaluate.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/feature_network.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/features.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/generate.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/prepare.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/settings.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/train.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/image/use.py": "tests/tasks/image/test_image.py",
    "llmkit/tasks/language/document_splits.py": "tests/tasks/language/test_prepare_splits.py",
    "llmkit/tasks/language/evaluate.py": "tests/stages/test_evaluate.py",
    "llmkit/tasks/language/generate.py": "tests/stages/test_generate.py",
    "llmkit/tasks/language/report.py": "tests/tasks/language/test_surprise.py",
    "llmkit/tasks/language/settings.py": "tests/config/test_schema.py",
    "llmkit/tasks/language/spool.py": "tests/tasks/language/test_prepare.py",
    "llmkit/tasks/language/token_files.py": "tests/tasks/language/test_prepare.py",
    "llmkit/tasks/language/train.py": "tests/training/test_loop.py",
    "llmkit/serving/batching.py": "tests/serving/test_app.py",
    "llmkit/serving/bodies.py": "tests/serving/test_app.py",
    "llmkit/serving/figures.py": "tests/serving/test_access.py",
    "llmkit/serving/openapi.py": "tests/serving/test_app.py",
    "llmkit/serving/writing.py": "tests/serving/test_completions.py",
    "llmkit/tasks/classify/serve.py": "tests/serving/test_served.py",
    "llmkit/tasks/image/serve.py": "tests/serving/test_served.py",
    "llmkit/tasks/series/serve.py": "tests/serving/test_served.py",
    "llmkit/tasks/translate/serve.py": "tests/serving/test_served.py",
    "llmkit/tasks/vision/serve.py": "tests/serving/test_served.py",
    "llmkit/tasks/language/streams.py": "tests/serving/test_completions.py",
    "llmkit/cli/serving.py": "tests/serving/test_run.py",
    "llmkit/tasks/series/anomaly_output.py": "tests/tasks/series/test_anomalies.py",
    "llmkit/tasks/series/evaluate.py": "tests/tasks/series/test_series.py",
    "llmkit/tasks/series/generate.py": "tests/tasks/series/test_series.py",
    "llmkit/tasks/series/objective.py": "tests/tasks/series/test_windows.py",
    "llmkit/tasks/series/prepare.py": "tests/tasks/series/test_series.py",
    "llmkit/tasks/series/settings.py": "tests/tasks/series/test_compress.py",
    "llmkit/tasks/series/train.py": "tests/tasks/series/test_series.py",
    "llmkit/tasks/series/use.py": "tests/tasks/series/test_series.py",
    "llmkit/tasks/table/evaluate.py": "tests/tasks/table/test_table.py",
    "llmkit/tasks/table/folds.py": "tests/tasks/table/test_table.py",
    "llmkit/tasks/table/generate.py": "tests/tasks/table/test_table.py",
    "llmkit/tasks/table/prepare.py": "tests/tasks/table/test_table.py",
    "llmkit/tasks/table/settings.py": "tests/tasks/table/test_compress.py",
    "llmkit/tasks/table/train.py": "tests/tasks/table/test_compress.py",
    "llmkit/tasks/table/use.py": "tests/tasks/table/test_table.py",
    "llmkit/tasks/translate/decoder.py": "tests/tasks/translate/test_translate.py",
    "llmkit/tasks/translate/evaluate.py": "tests/tasks/translate/test_translate.py",
    "llmkit/tasks/translate/generate.py": "tests/tasks/translate/test_translate.py",
    "llmkit/tasks/translate/network.py": "tests/tasks/translate/test_graph.py",
    "llmkit/tasks/translate/pairs.py": "tests/tasks/translate/test_prepare.py",
    "llmkit/tasks/translate/settings.py": "tests/tasks/translate/test_compress.py",
    "llmkit/tasks/translate/train.py": "tests/tasks/translate/test_translate.py",
    "llmkit/tasks/translate/use.py": "tests/tasks/translate/test_translate.py",
    "llmkit/tasks/vision/baseline.py": "tests/tasks/vision/test_prepare.py",
    "llmkit/tasks/vision/lists.py": "tests/tasks/vision/test_prepare.py",
    "llmkit/tasks/vision/pixels.py": "tests/tasks/vision/test_prepare.py",
    "llmkit/tasks/vision/calibration.py": "tests/tasks/vision/test_compress.py",
    "llmkit/tasks/vision/evaluate.py": "tests/tasks/vision/test_vision.py",
    "llmkit/tasks/vision/folds.py": "tests/tasks/vision/test_vision.py",
    "llmkit/tasks/vision/generate.py": "tests/tasks/vision/test_vision.py",
    "llmkit/tasks/vision/network.py": "tests/tasks/vision/test_graph.py",
    "llmkit/tasks/vision/report.py": "tests/tasks/vision/test_vision.py",
    "llmkit/tasks/vision/settings.py": "tests/tasks/vision/test_prepare.py",
    "llmkit/tasks/vision/train.py": "tests/tasks/vision/test_vision.py",
    "llmkit/tasks/vision/use.py": "tests/tasks/vision/test_vision.py",
    "llmkit/training/metrics_file.py": "tests/training/test_checkpoint.py",
    "llmkit/training/optimizer_state.py": "tests/training/test_checkpoint.py",
    "llmkit/version.py": "tests/cli/test_main.py",
}


def twin(module: Path) -> Path:
    """Where the test of a module lies, both relative to the project."""
    return Path("tests", *module.parts[1:-1], f"test_{module.name}")


def names(module: Path) -> list[str]:
    """The module's name and its public functions and classes."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [module.stem, *(name for name in defined if not name.startswith("_"))]


MODULES = [path.relative_to(ROOT) for path in sorted((ROOT / "llmkit").rglob("*.py")) if not path.stem.startswith("__")]
MODULES.remove(Path("llmkit/plain.py"))  # names of types alone


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_test(module):
    if str(module) not in COVERED_BY:
        assert (ROOT / twin(module)).exists(), f"write {twin(module)}, or name the test that covers it in COVERED_BY"
        return
    covering = ROOT / COVERED_BY[str(module)]
    assert not (ROOT / twin(module)).exists(), f"{twin(module)} is there; take {module} out of COVERED_BY"
    assert covering.exists(), f"{covering} is not there; name another one in COVERED_BY"
    mentioned = set(re.findall(r"\w+", covering.read_text(encoding="utf-8")))
    assert mentioned.intersection(names(module)), f"{covering} does not mention {module}: {', '.join(names(module))}"


def test_what_is_covered_elsewhere_is_a_module():
    assert set(COVERED_BY) <= {str(module) for module in MODULES}
