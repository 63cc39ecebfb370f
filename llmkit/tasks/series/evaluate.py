"""Metrics of a forecaster's model folder, through ONNX Runtime: quality by rolling origins, size and speed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.console.tables import Column
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.predicting import evaluate as predictors, forecast_metrics
from llmkit.predicting.evaluate import Targeted
from llmkit.predicting.forecast_metrics import Truth
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.series import baselines, forecasting, prepare, use
from llmkit.tasks.series.examples import Examples, validated
from llmkit.tasks.series.prepare import About
from llmkit.tasks.series.settings import Config
from llmkit.tasks.series.windows import Windows

TABLE = [
    Column("size_bytes", "size", True),
    Column("mase", "MASE", True),
    Column("seasonal_naive_mase", "seasonal naive", None),
    Column("smape", "sMAPE", True),
    Column("wql", "WQL", True),
    Column("coverage_80", "coverage 80 %", None),
    Column("coverage_95", "coverage 95 %", None),
    Column("ms_per_forecast", "ms", True),
]
UNIT = "forecast"
BY_HORIZON = ("mase", "smape", "coverage_80")


@dataclass(frozen=True)
class Origins:
    """Origins (N) to forecast from, by their numbers in the examples."""

    split: str
    examples: Examples
    origins: np.ndarray

    def truth(self) -> Truth:
        """What came, with the scales of errors."""
        series = self.examples.series[self.origins]
        return Truth(self.examples.truth(self.origins), series, self.examples.scales[series])


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Origins:
    """The rolling origins of a split: test is validation where there is none. Raises InputError."""
    values, about = prepare.read(prepared)
    return _origins(folder, values, about, split, str(prepared.path))


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Origins:
    """The ends of the series in other files, as many horizons as the model's own test has."""
    chosen = {key: getattr(settings.prepare, key) for key in ("format", "encoding", "delimiter")}
    how = structs.replace(folder.settings.prepare, **chosen)
    found = [prepare.trimmed(history) for history in prepare.read_files(files, how, progress, warn)]
    known = forecasting.read(folder)
    kept = prepare.long_enough(found, known.season, known.horizon, how.split, warn)
    timed = any(abs(history.start) > prepare.MERE_COUNT for history in kept)
    begins = [history.start if timed else None for history in kept]
    about = About([history.name for history in kept], begins, known.step, known.season, known.horizon, known.minimum)
    return _origins(folder, [history.values for history in kept], about, "test", str(files[0]))


def _origins(folder: ModelFolder, values: list[np.ndarray], about: About, split: str, where: str) -> Origins:
    known, how = forecasting.read(folder), folder.settings.prepare.split
    if (known.season, known.horizon) != (about.season, about.horizon):
        raise InputError(
            f"{folder.path} forecasts {known.horizon} steps with a season of {known.season}, and {where} was prepared "
            f"for {about.horizon} with {about.season}; prepare and train with the same"
        )
    if split == "test" and not how.test:
        split = "val"
    end = prepare.test_from if split == "test" else prepare.val_from
    examples = Examples(values, about, known.context, [end(len(each), about.horizon, how) for each in values])
    return Origins(split, examples, examples.of_split(split, how, about.horizon))


def metrics(folder: ModelFolder, examples: Origins, settings: Config, progress: Progress, warn: Warn) -> Json:
    """The figures of `forecast_metrics`, beside those of the naive forecasts, in all and by the step ahead."""
    if settings.evaluate.stride:
        origins = examples.examples.of_split(examples.split, folder.settings.prepare.split, settings.evaluate.stride)
        examples = Origins(examples.split, examples.examples, origins)
    model = use.load(folder)
    scored = targeted(examples)
    name = f"scoring {folder.name}"
    everything = scored.read(model, np.arange(len(scored.targets)))
    found = model.answers(everything, lambda done, total: progress(name, done, total))
    truth = examples.truth()
    figures: Json = {"split": examples.split, "series": len(examples.examples.values), "forecasts": len(found)}
    figures |= forecast_metrics.of_quantiles(truth, found)
    figures |= {"loss": forecasting.loss(found, truth.values, truth.scales)}
    compared = {
        "seasonal_naive": _baseline(examples, "seasonal_naive", progress),
        "naive": _baseline(examples, "naive", progress),
    }
    figures["baselines"] = {who: forecast_metrics.of_quantiles(truth, of) for who, of in compared.items()}
    figures["seasonal_naive_mase"] = figures["baselines"]["seasonal_naive"]["mase"]
    figures["by_horizon"] = _by_horizon(truth, found)
    better = [who for who, of in figures["baselines"].items() if of["mase"] <= figures["mase"]]
    if better:
        names = " and the ".join(who.replace("_", " ") for who in better)
        warn(f"the {names} forecast does as well as {folder.name} or better (MASE): there may be nothing more to learn")
    figures |= {"size_bytes": folder.size_bytes, "parameters": folder.parameters}
    speed, alone = predictors.speeds(model, scored)
    return figures | {"forecasts_per_second": speed, "ms_per_forecast": alone}


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """`forecasting.loss` on the validation split."""
    return predictors.loss(use.load(folder), targeted(validation(folder, prepared)))


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`; load_ms, ms_per_forecast, forecasts_per_second)."""
    value, speeds = predictors.loss_and_speeds(use.load, folder, targeted(validation(folder, prepared)))
    names = {"ms_per_example": "ms_per_forecast", "examples_per_second": "forecasts_per_second"}
    return value, {names.get(name, name): figure for name, figure in speeds.items()}


def targeted(examples: Origins) -> Targeted[Windows]:
    """The origins with their targets (N, H + 1): what came, and the scale of the series' errors."""
    truth = examples.truth()
    targets = np.concatenate([truth.values, truth.scales[:, None]], axis=1)
    return Targeted(examples.split, targets, lambda model, which: examples.examples.windows(examples.origins[which]))


def validation(folder: ModelFolder, prepared: Files) -> Origins:
    """The origins that training validates on."""
    found = of_split(folder, prepared, "val")
    return Origins("val", found.examples, validated(found.examples.of_split("val", folder.settings.prepare.split)))


def _baseline(examples: Origins, which: str, progress: Progress) -> np.ndarray:
    """Quantiles (N, H, Q) of a naive forecast from each origin, its changes learnt from what is before the split."""
    about, known, found = examples.examples.about, examples.examples, []
    for done, origin in enumerate(examples.origins, 1):
        past = known.before(int(origin))
        if which == "naive":
            found.append(baselines.naive(past, about.horizon))
        else:
            found.append(baselines.seasonal_naive(past, about.horizon, about.season))
        progress(f"forecasting by the {which.replace('_', ' ')}", done, len(examples.origins))
    return np.array(found)


def _by_horizon(truth: Truth, found: np.ndarray) -> dict[str, list[float]]:
    """The figures of each step ahead."""
    steps = [
        forecast_metrics.of_quantiles(
            Truth(truth.values[:, k : k + 1], truth.series, truth.scales), found[:, k : k + 1]
        )
        for k in range(found.shape[1])
    ]
    return {key: [step[key] for step in steps] for key in BY_HORIZON}
