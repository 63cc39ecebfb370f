"""What `benchmarks/table.py` compares llmkit with: boosted trees, linear models and a perceptron, by their defaults.

Each takes a table of numbers, NaN where missing, and of categories, -1 where missing, as llmkit prepared them. CatBoost
and LightGBM are left out where they are not installed.
"""

import importlib.util
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

COVERAGE = 0.9  # of the intervals that are compared
CALLS = 200  # of one row at a time


@dataclass(frozen=True)
class Table:
    """Numbers (N, F) float64 and categories (N, M) int32 of rows, and their targets (N,)."""

    numbers: np.ndarray
    categories: np.ndarray
    targets: np.ndarray

    def frame(self, rows: np.ndarray) -> Any:
        """Some rows as pandas take them: categories that are words."""
        import pandas as pd

        columns = {f"number {k}": self.numbers[rows, k] for k in range(self.numbers.shape[1])}
        for k in range(self.categories.shape[1]):
            known = np.unique(self.categories[:, k]).astype(str)
            columns[f"category {k}"] = pd.Categorical(self.categories[rows, k].astype(str), categories=known)
        return pd.DataFrame(columns)


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def classifiers(table: Table) -> dict[str, Callable[[], Any]]:
    """{name: a new model with `fit` and `predict_proba` of a frame}."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    found: dict[str, Callable[[], Any]] = {
        "logistic regression": lambda: _encoded(table, LogisticRegression(max_iter=2000)),
        "multi-layer perceptron": lambda: _encoded(table, MLPClassifier(max_iter=200, random_state=0)),
        "scikit-learn boosting": lambda: HistGradientBoostingClassifier(
            random_state=0, early_stopping=_stops_early(table), **_words(table)
        ),
    }
    if installed("catboost"):
        from catboost import CatBoostClassifier

        found["CatBoost"] = lambda: CatBoostClassifier(
            verbose=0, random_seed=0, allow_writing_files=False, cat_features=_categories(table)
        )
    if installed("lightgbm"):
        from lightgbm import LGBMClassifier

        found["LightGBM"] = lambda: LGBMClassifier(verbose=-1, random_state=0)
    return found


def _stops_early(table: Table) -> Any:
    """The default, unless a label is there so rarely that its rows cannot be split."""
    return "auto" if np.unique(table.targets, return_counts=True)[1].min() >= 20 else False


def regressors(table: Table) -> dict[str, Callable[[], Any]]:
    """{name: a new model with `fit` and `predict` of a frame}."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import LinearRegression

    found: dict[str, Callable[[], Any]] = {
        "linear regression": lambda: _encoded(table, LinearRegression()),
        "scikit-learn boosting": lambda: HistGradientBoostingRegressor(random_state=0, **_words(table)),
    }
    if installed("catboost"):
        from catboost import CatBoostRegressor

        found["CatBoost"] = lambda: CatBoostRegressor(
            verbose=0, random_seed=0, allow_writing_files=False, cat_features=_categories(table)
        )
    if installed("lightgbm"):
        from lightgbm import LGBMRegressor

        found["LightGBM"] = lambda: LGBMRegressor(verbose=-1, random_state=0)
    return found


def quantile_models(table: Table) -> list[Any]:
    """Boosted trees of the lower and the upper end of an interval of `COVERAGE`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    tail = (1 - COVERAGE) / 2
    return [
        HistGradientBoostingRegressor(loss="quantile", quantile=share, random_state=0, **_words(table))
        for share in (tail, 1 - tail)
    ]


def fitted(model: Any, table: Table, rows: np.ndarray, stopping: np.ndarray | None = None) -> float:
    """Fit a model to some rows; returns the seconds that it took. Rows for `stopping` end CatBoost's training early."""
    frame = table.frame(rows)
    more: dict[str, Any] = {}
    if stopping is not None:
        more = {"eval_set": (table.frame(stopping), table.targets[stopping]), "early_stopping_rounds": 50}
    start = time.perf_counter()
    model.fit(frame, table.targets[rows], **more)
    return time.perf_counter() - start


def costs(model: Any, table: Table, rows: np.ndarray) -> dict[str, float]:
    """`size_bytes` of a fitted model, pickled, and `ms_per_row`: the median of one row at a time."""
    ask = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    alone = [table.frame(rows[k : k + 1]) for k in range(min(CALLS, len(rows)))]
    taken = []
    for row in alone:
        start = time.perf_counter()
        ask(row)
        taken.append(time.perf_counter() - start)
    return {"size_bytes": len(pickle.dumps(model)), "ms_per_row": 1000 * float(np.median(taken))}


def probabilities(model: Any, table: Table, rows: np.ndarray, count: int) -> np.ndarray:
    """Probabilities (N, `count`) of some rows, 0 for labels that the model has not seen."""
    found = np.zeros((len(rows), count))
    found[:, np.asarray(model.classes_).astype(int).ravel()] = model.predict_proba(table.frame(rows))
    return found


def _categories(table: Table) -> list[str]:
    return [f"category {k}" for k in range(table.categories.shape[1])]


def _words(table: Table) -> dict[str, object]:
    """scikit-learn's boosting takes up to 255 values as categories; a column of more is left to it as numbers."""
    few = [k for k in range(table.categories.shape[1]) if len(np.unique(table.categories[:, k])) <= 255]
    return {"categorical_features": [f"category {k}" for k in few] or None}


def _encoded(table: Table, model: Any) -> Any:
    """A model of one-hot categories and standardized numbers, missing ones: the median."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = [f"number {k}" for k in range(table.numbers.shape[1])]
    return make_pipeline(make_column_transformer((scaled, numbers), (words, _categories(table))), model)
