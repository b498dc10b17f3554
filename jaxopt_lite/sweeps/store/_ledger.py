"""The store of a sweep: one SQLite file that survives a kill at any moment."""

import hashlib
import json
import math
import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_lite._names import count
from jaxopt_lite.diagnostics import Record
from jaxopt_lite.sweeps.store._arrays import labels_of, parts_of, write_curves, write_records
from jaxopt_lite.sweeps.store._database import (
    ERRORS,
    FORMAT,
    RECORDS,
    Row,
    address,
    connected,
    fill,
    insert,
    moved,
    transaction,
)
from jaxopt_lite.sweeps.store._lock import Lock
from jaxopt_lite.sweeps.store._outcome import Adopted as Adopted
from jaxopt_lite.sweeps.store._outcome import Growth as Growth
from jaxopt_lite.sweeps.store._outcome import Outcome as Outcome
from jaxopt_lite.sweeps.store._store import FILE as FILE
from jaxopt_lite.sweeps.store._store import StoreError as StoreError
from jaxopt_lite.sweeps.store._store import check as check
from jaxopt_lite.sweeps.store._store import exists as exists
from jaxopt_lite.sweeps.store._store import locked as locked
from jaxopt_lite.sweeps.store._store import occupied, unwritable

# A run that fails is to a strategy as bad as one that diverges.
LOSSES = ("diverged", "failed")
FINAL = ("done", "diverged", "failed", "pruned")
_ROWS = "SELECT id, columns, seed, status, step, trial, batch, picks FROM trials"
_POINTS = "SELECT trial, name, dtype, points FROM curves"


class Ledger:
    """Runs, their scores, curves and states; every change is one transaction."""

    def __init__(self, connection: sqlite3.Connection, store: Path | None, lock: Lock | None = None) -> None:
        self._db = connection
        self._lock = lock
        self.store = store

    @classmethod
    def create(
        cls, store: Path | None, facts: dict[str, Any], rows: Iterable[Row], lock: Lock | None = None
    ) -> "Ledger":
        """A new ledger at `store` (a folder that has none yet), or in memory.

        Args:
            store: the folder; None for a ledger in memory.
            facts: what is known of the sweep, as values that JSON can hold.
            rows: one for each run.
            lock: the lock on the folder, if the caller holds it already; `close` releases it.

        Raises:
            StoreError: the folder holds a ledger, is a file, cannot be written to, or is locked by another process.
        """
        if store is None:
            db = connected(":memory:")
            fill(db, facts, rows)
            return cls(db, None)
        with ExitStack() as undo:
            if lock is None:
                lock = locked(store, resume=False)
                undo.callback(lock.release, undo=True)
            unfinished = store / f"{FILE}.{os.getpid()}"
            try:
                unfinished.unlink(missing_ok=True)
                with closing(connected(str(unfinished))) as db:
                    fill(db, facts, rows)
                moved(unfinished, store / FILE)  # a kill before this leaves no ledger, one after it a complete one
            except FileExistsError:
                raise occupied(store) from None
            except (OSError, sqlite3.OperationalError) as error:
                raise unwritable(store, error) from None
            finally:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)
            ledger = cls.open(store, write=True, lock=lock)
            undo.pop_all()
        return ledger

    @classmethod
    def open(cls, store: Path, *, write: bool, lock: Lock | None = None) -> "Ledger":
        """The ledger in the folder `store`. Without `write` the file does not change.

        Args:
            store: the folder.
            write: whether `record` and `note` will be called.
            lock: the lock on the folder, if the caller holds it already; `close` releases it. Without it, `write` locks
                the folder.

        Raises:
            StoreError: there is none, it is damaged or of another format, or `write` is requested for a read-only one
                or one that another process is writing.
        """
        if not exists(store):
            raise StoreError(f"{store} holds no sweep: there is no {FILE} in it")
        path = store / FILE
        with ExitStack() as undo:
            if write and lock is None:
                lock = locked(store, resume=True)
                undo.callback(lock.release, undo=True)
            try:
                db = undo.enter_context(closing(connected(address(path, "rw" if write else "ro"), uri=True)))
                found = db.execute("PRAGMA quick_check").fetchone()[0]
                if found != "ok":
                    raise StoreError(f"the ledger {path} is damaged ({found}): restore a copy or name another store")
                ledger = cls(db, store, lock)
                form = ledger.facts().get("format")
                if form != FORMAT:
                    raise StoreError(f"the ledger {path} has format {form}; this version reads format {FORMAT}")
                if write:
                    db.execute("PRAGMA journal_mode=WAL")
                    for table in (RECORDS, ERRORS):
                        db.execute(table)
            except sqlite3.OperationalError as error:
                raise StoreError(f"cannot {'write to' if write else 'read'} the ledger {path}: {error}") from None
            except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
                raise StoreError(
                    f"the ledger {path} is damaged ({error}): restore a copy or name another store"
                ) from None
            undo.pop_all()
        return ledger

    def facts(self) -> dict[str, Any]:
        """What is known of the sweep as a whole."""
        return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM sweep")}

    def note(self, **facts: Any) -> None:
        """Add to or change what is known of the sweep."""
        with self._writing() as db:
            _write_facts(db, facts)

    def rows(self) -> list[Row]:
        """All runs, in the order in which they were added."""
        return [_row(found) for found in self._db.execute(f"{_ROWS} ORDER BY id")]

    def row(self, id: int) -> Row:
        """One run."""
        return _row(self._db.execute(f"{_ROWS} WHERE id = ?", (id,)).fetchone())

    def scores(self, step: int) -> dict[int, dict[str, float]]:
        """The scores of runs at a step, by row; what was not finite is NaN."""
        out: dict[int, dict[str, float]] = {}
        for row, name, value in self._db.execute("SELECT trial, name, value FROM scores WHERE step = ?", (step,)):
            out.setdefault(row, {})[name] = math.nan if value is None else value
        return out

    def scores_by_step(self, name: str) -> dict[int, dict[int, float]]:
        """One score at every step where it was measured, by row; what was not finite is NaN."""
        out: dict[int, dict[int, float]] = {}
        for row, step, value in self._db.execute("SELECT trial, step, value FROM scores WHERE name = ?", (name,)):
            out.setdefault(row, {})[step] = math.nan if value is None else value
        return out

    def add(self, rows: Sequence[Row]) -> None:
        """Add runs, all or none."""
        with self._writing() as db:
            insert(db, rows)

    def prune(self, rows: Sequence[int]) -> None:
        """Give runs the status `pruned`; their states are deleted."""
        with self._writing() as db:
            db.executemany("UPDATE trials SET status = 'pruned' WHERE id = ?", [(row,) for row in rows])
            db.executemany("DELETE FROM carries WHERE trial = ?", [(row,) for row in rows])

    def revive(self, rows: Sequence[int]) -> None:
        """Let pruned or failed runs begin again."""
        with self._writing() as db:
            db.executemany("UPDATE trials SET status = 'waiting', step = 0 WHERE id = ?", [(row,) for row in rows])
            for table in ("curves", "records", "errors"):
                db.executemany(f"DELETE FROM {table} WHERE trial = ?", [(row,) for row in rows])

    def fail(self, failures: Sequence[tuple[int, int, str]]) -> list[Outcome]:
        """Give runs the status `failed`, and return what was written.

        A run that is done keeps its status and scores: it was only made again for its final state.

        Args:
            failures: row, step and error of each run.
        """
        done = {row for row, _, _ in failures if self.row(row).status == "done"}
        if done:
            errors = "; ".join(dict.fromkeys(text for row, _, text in failures if row in done))
            warnings.warn(f"the final states of {count(len(done), 'run')} cannot be made again: {errors}", stacklevel=2)
        outcomes = [Outcome(row, "failed", step, {}, {}, None, error=e) for row, step, e in failures if row not in done]
        self.record(outcomes)
        return outcomes

    def errors(self) -> dict[int, str]:
        """Why runs failed, by row."""
        if not self._has("errors"):
            return {}
        return dict(self._db.execute("SELECT trial, text FROM errors ORDER BY trial"))

    def _has(self, table: str) -> bool:
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None

    def adopt(self, step: int, runs: Sequence[tuple[Row, int]]) -> None:
        """Let runs continue from the states of others, with other settings, all or nothing.

        Args:
            step: the step that all have reached.
            runs: rows with their new settings, and the row from whose state each continues.
        """
        with self._writing() as db:
            db.executemany(
                "INSERT INTO adoptions SELECT id, ?, ?, columns, picks FROM trials WHERE id = ?",
                [(step, source, row.id) for row, source in runs],
            )
            for row, source in ((row, source) for row, source in runs if row.id != source):
                db.execute(
                    "UPDATE trials SET columns = ?, picks = ?, status = 'running', step = ? WHERE id = ?",
                    (json.dumps(row.columns), row.picks, step, row.id),
                )
                for table in ("curves", "carries", "records"):
                    db.execute(f"DELETE FROM {table} WHERE trial = ?", (row.id,))
                db.execute(
                    "INSERT INTO carries SELECT ?, part, step, arrays, digest FROM carries WHERE trial = ?",
                    (row.id, source),
                )
                db.execute(
                    "INSERT INTO curves SELECT ?, name, dtype, points FROM curves WHERE trial = ?", (row.id, source)
                )
                db.execute(
                    "INSERT INTO records SELECT ?, step, labels, numbers FROM records WHERE trial = ?", (row.id, source)
                )

    def adopted(self) -> list[Adopted]:
        """How runs continued after the generations of a population, by run and step."""
        found = self._db.execute("SELECT trial, step, source, columns, picks FROM adoptions ORDER BY trial, step")
        return [Adopted(id, step, source, json.loads(columns), picks) for id, step, source, columns, picks in found]

    def copies(self) -> set[int]:
        """The rows of runs that continued from the state of another one, and so cannot begin again."""
        return {one.id for one in self.adopted() if one.id != one.source}

    def extend(self, growth: Growth) -> None:
        """Let a sweep grow, all or nothing."""
        with self._writing() as db:
            insert(db, growth.added)
            db.executemany("UPDATE trials SET batch = ? WHERE id = ?", [(r.batch, r.id) for r in growth.selected])
            again, continued = [(row,) for row in growth.again], [(row,) for row in growth.continued]
            db.executemany("UPDATE trials SET status = 'waiting', step = 0 WHERE id = ?", again)
            db.executemany("UPDATE trials SET status = 'running' WHERE id = ?", continued)
            for table in ("curves", "carries", "records", "errors"):
                db.executemany(f"DELETE FROM {table} WHERE trial = ?", again)
            write_curves(db, growth.curves.items())
            _write_facts(db, growth.facts)

    def forget(self, rows: Sequence[int]) -> None:
        """Delete the states of runs."""
        with self._writing() as db:
            db.executemany("DELETE FROM carries WHERE trial = ?", [(row,) for row in rows])

    def points(self, rows: Iterable[int]) -> dict[int, dict[str, np.ndarray]]:
        """The points of the learning curves of some runs, by row (see `training._run.Curve`)."""
        out: dict[int, dict[str, np.ndarray]] = {}
        for row in rows:
            for _, name, dtype, blob in self._db.execute(f"{_POINTS} WHERE trial = ?", (row,)):
                out.setdefault(row, {})[name] = np.frombuffer(blob, dtype)
        return out

    def each_points(self) -> Iterator[tuple[int, str, np.ndarray]]:
        """Row, metric and points of each learning curve, one after another, since all of them may be many."""
        for row, name, dtype, blob in self._db.execute(_POINTS):
            yield row, name, np.frombuffer(blob, dtype)

    def records(self) -> dict[int, dict[int, Record]]:
        """The recorded states of layers, by row and step."""
        out: dict[int, dict[int, Record]] = {}
        if not self._has("records"):
            return out
        for row, step, labels, numbers in self._db.execute("SELECT trial, step, labels, numbers FROM records"):
            out.setdefault(row, {})[step] = Record(labels_of(labels), np.frombuffer(numbers, np.float32))
        return out

    def stored(self) -> list[int]:
        """The rows of which a state is stored."""
        return [row for (row,) in self._db.execute("SELECT trial FROM carries WHERE part = 0 ORDER BY trial")]

    def carries(self, rows: Iterable[int] | None = None) -> Iterator[tuple[int, int, bytes]]:
        """The states of some runs, by default of all: row, step, and the bytes of its arrays one after the other.

        Raises:
            StoreError: a state is damaged.
        """
        if rows is None:
            rows = self.stored()
        for row in rows:
            parts, step = [], None
            for step, arrays, digest in self._db.execute(  # noqa: B007 - the step is that of all parts
                "SELECT step, arrays, digest FROM carries WHERE trial = ? ORDER BY part", (row,)
            ):
                if hashlib.sha256(arrays).hexdigest() != digest:
                    raise StoreError(
                        f"the state of run {row} in {self.store} is damaged: restore a copy or name another store"
                    )
                parts.append(arrays)
            if step is not None:
                yield row, step, b"".join(parts)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads inside see one state of the ledger, whatever another process writes meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Write what a segment did, all or nothing.

        A run that is done is made again for its final state alone: of it nothing is written before it is done again.

        Raises:
            StoreError: the disk is full, or the file is no longer there to be written. All that writes raises it.
        """
        outcomes = [o for o in outcomes if o.status != "running" or self.row(o.id).status != "done"]
        with self._writing() as db:
            db.executemany(
                "UPDATE trials SET status = ?, step = ? WHERE id = ?", [(o.status, o.step, o.id) for o in outcomes]
            )
            db.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
                [(o.id, o.step, name, value) for o in outcomes for name, value in o.scores.items()],
            )
            write_curves(db, ((o.id, o.points) for o in outcomes))
            write_records(db, outcomes)
            failed = [(o.id, o.error) for o in outcomes if o.error is not None]
            db.executemany("INSERT OR REPLACE INTO errors VALUES (?, ?)", failed)
            db.executemany("DELETE FROM carries WHERE trial = ?", [(o.id,) for o in outcomes])
            for o in outcomes:
                if o.arrays is not None:
                    db.executemany("INSERT INTO carries VALUES (?, ?, ?, ?, ?)", parts_of(o.id, o.step, o.arrays))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Write everything inside, or nothing if it raises."""
        try:
            with transaction(self._db) as db:
                yield db
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"cannot write to the store {self.store}: {error}; what was written before is kept"
            ) from error

    def close(self) -> None:
        """Close the file and release the lock; a ledger that was written is then one file, readable where nothing can
        be written.
        """
        if self._lock is not None:
            with suppress(sqlite3.OperationalError):  # a reader has it open: the next writer to close does this
                self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()
        if self._lock is not None:
            self._lock.release()


def _row(found: tuple[Any, ...]) -> Row:
    id, columns, *rest = found
    return Row(id, json.loads(columns), *rest)


def _write_facts(db: sqlite3.Connection, facts: dict[str, Any]) -> None:
    db.executemany("INSERT OR REPLACE INTO sweep VALUES (?, ?)", [(k, json.dumps(v)) for k, v in facts.items()])
