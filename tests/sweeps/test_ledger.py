"""The store: what it refuses, and that it says so in words that help."""

import sqlite3

import numpy as np
import pytest

from jaxopt_lite.sweeps import Results, StoreError
from jaxopt_lite.sweeps.store import _arrays
from jaxopt_lite.sweeps.store._ledger import Ledger, Outcome, Row

FACTS = {
    "task": "t",
    "objective": "test_loss",
    "mode": "min",
    "steps": 10,
    "stride": 1,
    "seeds": [0, 1],
    "columns": ["rate"],
}


def made(store):
    rows = [Row(i, {"rate": float(i // 2)}, i % 2, "waiting", 0, i // 2) for i in range(4)]
    return Ledger.create(store, FACTS, rows)


def outcome(row, status="done", loss=0.5, arrays=None, step=10):
    scores = {"test_loss": loss} if status == "done" else {}
    return Outcome(row, status, step, scores, {"loss": np.arange(10, dtype=np.float32)}, arrays)


def test_what_is_recorded_is_read_back(tmp_path):
    ledger = made(tmp_path / "s")
    state = [np.arange(3, dtype=np.float32), np.int32([7])]
    ledger.record([outcome(0), outcome(1, "diverged"), outcome(2, "running", arrays=state, step=4)])
    ledger.close()
    results = Results.load(tmp_path / "s")
    assert results.columns["status"] == ["done", "diverged", "running", "waiting"]
    np.testing.assert_array_equal(results.columns["test_loss"], [0.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(results.curves[0]["loss"], np.arange(10))
    np.testing.assert_array_equal(results.curves[2]["loss"], [0, 1, 2, 3, *[np.nan] * 6])
    ledger = Ledger.open(tmp_path / "s", write=True)
    assert list(ledger.carries()) == [(2, 4, b"".join(x.tobytes() for x in state))]
    ledger.record([outcome(2)])
    assert list(ledger.carries()) == []
    ledger.close()


def test_a_failed_transaction_leaves_nothing(tmp_path):
    ledger = made(tmp_path / "s")
    with pytest.raises(sqlite3.Error):
        ledger.record([outcome(0), outcome(1)._replace(status=None)])
    assert [row.status for row in ledger.rows()] == ["waiting"] * 4
    ledger.close()


def test_a_store_is_not_overwritten(tmp_path):
    made(tmp_path / "s").close()
    with pytest.raises(StoreError, match="already holds a sweep"):
        made(tmp_path / "s")


def test_an_empty_folder_holds_no_sweep(tmp_path):
    with pytest.raises(StoreError, match="holds no sweep"):
        Results.load(tmp_path)


@pytest.mark.parametrize("damage", ["not a database", "cut short", "overwritten", "table missing"])
def test_a_damaged_ledger_says_so(tmp_path, damage):
    made(tmp_path / "s").close()
    file = tmp_path / "s" / "ledger.sqlite"
    if damage == "not a database":
        file.write_bytes(b"no ledger at all" * 100)
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:3000])
    elif damage == "overwritten":
        content = bytearray(file.read_bytes())
        content[4096:12000] = b"\xff" * (12000 - 4096)
        file.write_bytes(bytes(content))
    else:
        with sqlite3.connect(file) as db:
            db.execute("DROP TABLE sweep")
        db.close()
    with pytest.raises(StoreError, match=r"damaged|cannot read"):
        Results.load(tmp_path / "s")


def test_a_damaged_state_is_noticed(tmp_path):
    ledger = made(tmp_path / "s")
    ledger.record([outcome(0, "running", arrays=[np.ones(3)], step=4)])
    ledger.close()
    with sqlite3.connect(tmp_path / "s" / "ledger.sqlite") as db:
        db.execute("UPDATE carries SET arrays = x'00'")
    db.close()
    ledger = Ledger.open(tmp_path / "s", write=True)
    with pytest.raises(StoreError, match="state of run 0"):
        list(ledger.carries())
    ledger.close()


def test_a_ledger_of_another_format_is_not_read(tmp_path):
    ledger = made(tmp_path / "s")
    ledger.note(format=99)
    ledger.close()
    with pytest.raises(StoreError, match="format 99"):
        Results.load(tmp_path / "s")


def test_a_store_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        made(tmp_path / "file" / "s")


def test_one_process_writes_and_others_may_read(tmp_path):
    ledger = made(tmp_path / "s")
    with pytest.raises(StoreError, match="another process is running the sweep"):
        Ledger.open(tmp_path / "s", write=True)
    ledger.record([outcome(0)])
    assert Results.load(tmp_path / "s").columns["status"][0] == "done"
    ledger.close()
    Ledger.open(tmp_path / "s", write=True).close()


def test_a_closed_store_is_one_file_that_can_be_read_alone(tmp_path):
    ledger = made(tmp_path / "s")
    ledger.record([outcome(0)])
    ledger.close()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "ledger.sqlite").write_bytes((tmp_path / "s" / "ledger.sqlite").read_bytes())
    assert Results.load(tmp_path / "copy").columns["status"][0] == "done"
    assert [p.name for p in (tmp_path / "copy").iterdir()] == ["ledger.sqlite"]


def test_a_kill_while_the_ledger_is_made_leaves_none(tmp_path, monkeypatch):
    from jaxopt_lite.sweeps.store import _ledger

    def killed(*_):
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(_ledger, "fill", killed)
        made(tmp_path / "s")
    made(tmp_path / "s").close()
    assert len(Results.load(tmp_path / "s")) == 4


def test_a_state_larger_than_a_value_of_sqlite_is_kept_in_parts(tmp_path, monkeypatch):
    """SQLite's limit is 1 GB; the test lowers it to 1 kB."""
    monkeypatch.setattr(_arrays, "BYTES_A_PART", 800)
    ledger = made(tmp_path / "s")
    ledger._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    state = [np.arange(1000, dtype=np.float32), np.zeros(0, np.float32), np.int32([7])]
    ledger.record([outcome(2, "running", arrays=state, step=4)])
    assert list(ledger.carries()) == [(2, 4, b"".join(x.tobytes() for x in state))]
    ledger.record([outcome(2)])
    assert list(ledger.carries()) == []
    ledger.close()


def test_results_loaded_from_a_live_sweep_are_of_one_moment(tmp_path, monkeypatch):
    """Another segment is written between the reads of two tables."""
    writer = made(tmp_path / "s")
    writer.record([outcome(0)])
    rows = Ledger.rows

    def and_then_written(ledger):
        found = rows(ledger)
        writer.record([outcome(1, loss=0.25), outcome(0, loss=0.125)])
        return found

    monkeypatch.setattr(Ledger, "rows", and_then_written)
    results = Results.load(tmp_path / "s")
    assert results.columns["status"] == ["done", "waiting", "waiting", "waiting"]
    np.testing.assert_array_equal(results.columns["test_loss"], [0.5, np.nan, np.nan, np.nan])
    assert results.curves[1] == {}
    monkeypatch.undo()
    assert Results.load(tmp_path / "s").columns["test_loss"][:2] == [0.125, 0.25]
    writer.close()


def test_a_full_disk_is_one_error_whatever_is_written(tmp_path):
    rows = [Row(i, {}, i, "waiting", 0) for i in range(4)]
    ledger = Ledger.create(tmp_path / "s", {"objective": "loss"}, rows)
    (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
    ledger._db.execute(f"PRAGMA max_page_count={pages}")
    more = [Row(i, {"long": "x" * 9000}, i, "waiting", 0) for i in range(4, 9)]
    for write in (lambda: ledger.add(more), lambda: ledger.note(long="x" * 90_000)):
        with pytest.raises(StoreError, match=r"cannot write to the store .* full; what was written before is kept"):
            write()
    assert ledger.rows() == rows
    ledger.close()
