"""The columns of a table in the forms of other programs."""

import csv
from pathlib import Path
from typing import Any

Columns = dict[str, list[Any]]


def to_pandas(columns: Columns) -> Any:
    """A pandas DataFrame.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError:
        raise ModuleNotFoundError("to_pandas needs pandas: pip install 'jaxopt-lite[table]'") from None
    return pandas.DataFrame(columns)


def to_csv(columns: Columns, path: Path) -> Path:
    """Write a CSV file, whose numbers read back equal, and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def to_parquet(columns: Columns, path: Path) -> Path:
    """Write a Parquet file and return its path.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError("to_parquet needs pyarrow: pip install 'jaxopt-lite[table]'") from None
    parquet.write_table(pyarrow.table(columns), path)
    return path
