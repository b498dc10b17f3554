"""The SQLite file of a ledger: its tables, connections and transactions."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

FORMAT = 4
# Instead of the number of a batch: the run confirms a trial that the search found good.
CONFIRM = -1
_TABLES = """
CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trials (id INTEGER PRIMARY KEY, columns TEXT NOT NULL, seed INTEGER NOT NULL,
                     status TEXT NOT NULL, step INTEGER NOT NULL, trial INTEGER NOT NULL, batch INTEGER NOT NULL,
                     picks TEXT NOT NULL);
CREATE TABLE scores (trial INTEGER NOT NULL, step INTEGER NOT NULL, name TEXT NOT NULL, value REAL,
                     PRIMARY KEY (trial, step, name)) WITHOUT ROWID;
CREATE TABLE curves (trial INTEGER NOT NULL, name TEXT NOT NULL, dtype TEXT NOT NULL, points BLOB NOT NULL,
                     PRIMARY KEY (trial, name)) WITHOUT ROWID;
CREATE TABLE carries (trial INTEGER NOT NULL, part INTEGER NOT NULL, step INTEGER NOT NULL, arrays BLOB NOT NULL,
                      digest TEXT NOT NULL, PRIMARY KEY (trial, part));
CREATE TABLE adoptions (trial INTEGER NOT NULL, step INTEGER NOT NULL, source INTEGER NOT NULL, columns TEXT NOT NULL,
                        picks TEXT NOT NULL, PRIMARY KEY (trial, step)) WITHOUT ROWID;
"""
# What is recorded of the layers of diagnosed runs. Ledgers of the first versions of the format are without it.
RECORDS = """
CREATE TABLE IF NOT EXISTS records (trial INTEGER NOT NULL, step INTEGER NOT NULL, labels TEXT NOT NULL,
                                    numbers BLOB NOT NULL, PRIMARY KEY (trial, step)) WITHOUT ROWID
"""


# Why runs failed. Ledgers of the first versions of the format are without it.
ERRORS = "CREATE TABLE IF NOT EXISTS errors (trial INTEGER PRIMARY KEY, text TEXT NOT NULL)"


class Row(NamedTuple):
    """One run in the ledger.

    Attributes:
        id: its number, from 0 in the order in which runs were added.
        columns: the settings of its trial, by name.
        seed: its seed.
        status: waiting, running, done, diverged, failed or pruned.
        step: steps made.
        trial: number of its trial, from 0.
        batch: number of the batch of trials that its trial belongs to; `CONFIRM` if the run confirms a good trial.
        picks: the point of the space, as `encoded` gives it.
    """

    id: int
    columns: dict[str, Any]
    seed: int
    status: str
    step: int
    trial: int = 0
    batch: int = 0
    picks: str = "[]"


def encoded(picks: dict[tuple[Any, ...], Any]) -> str:
    """A point of a space as text; numbers read back equal."""
    return json.dumps([[list(path), pick] for path, pick in picks.items()])


def decoded(text: str) -> dict[tuple[Any, ...], Any]:
    """The point of a space that `encoded` made the text of."""
    return {tuple(path): pick for path, pick in json.loads(text)}


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write everything inside, or nothing if it raises."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def fill(db: sqlite3.Connection, facts: dict[str, Any], rows: Iterable[Row]) -> None:
    """Make the tables of a new ledger."""
    with transaction(db):
        for statement in [*_TABLES.split(";\n"), RECORDS, ERRORS]:
            db.execute(statement)
        known = {"format": FORMAT, **facts}
        db.executemany("INSERT INTO sweep VALUES (?, ?)", [(k, json.dumps(v)) for k, v in known.items()])
        insert(db, rows)


def insert(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Add runs to a ledger, inside a transaction."""
    db.executemany(
        "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(r.id, json.dumps(r.columns), r.seed, r.status, r.step, r.trial, r.batch, r.picks) for r in rows],
    )


def moved(source: Path, target: Path) -> None:
    """Rename a file to a name that does not exist yet.

    Raises:
        FileExistsError: `target` exists.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links; the lock keeps other sweeps away
        source.rename(target)


def connected(where: str, uri: bool = False) -> sqlite3.Connection:
    """A connection to a file, which waits up to 10 s for a lock."""
    db = sqlite3.connect(where, uri=uri, isolation_level=None, timeout=10, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def address(path: Path, mode: str) -> str:
    """The file's address in the form that sets its mode, `ro` or `rw`."""
    return f"file:{quote(str(path.resolve()))}?mode={mode}"
