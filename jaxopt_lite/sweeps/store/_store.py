"""The folder of a sweep: whether it can be used as requested."""

import sqlite3
import tempfile
from pathlib import Path

from jaxopt_lite.sweeps.store._lock import Lock

FILE = "ledger.sqlite"


class StoreError(ValueError):
    """A store that cannot be used as requested: it exists, is damaged, read-only, or holds another sweep."""


def exists(store: Path) -> bool:
    """Whether there is a ledger at `store`."""
    return (store / FILE).exists()


def check(store: Path, resume: bool) -> None:
    """Check that a store can be used, before any work is done. Nothing stays written.

    Raises:
        StoreError: it holds a sweep without `resume`, it holds none with `resume`, or it cannot be written to.
    """
    if resume and not exists(store):
        raise StoreError(
            f"{store} holds no sweep to continue: there is no {FILE} in it. A sweep that was interrupted before its "
            "programs were compiled leaves none; start it again"
        )
    if not resume and exists(store):
        raise occupied(store)
    nearest = next((folder for folder in (store, *store.absolute().parents) if folder.exists()), Path())
    if not nearest.is_dir():
        raise StoreError(f"cannot write to the store {store}: {nearest} is a file; name a folder")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise unwritable(store, error) from None


def locked(store: Path, resume: bool) -> Lock:
    """Lock a store, after the checks of `check`.

    Raises:
        StoreError: `check` refuses the store, or another process is writing to it.
    """
    check(store, resume)
    try:
        lock = Lock(store)
    except BlockingIOError:
        raise StoreError(f"another process is running the sweep in {store}: wait, or name another store") from None
    except (OSError, sqlite3.OperationalError) as error:
        raise unwritable(store, error) from None
    try:
        check(store, resume)  # another process may have created or removed a ledger before we had the lock
    except StoreError:
        lock.release(undo=True)
        raise
    return lock


def occupied(store: Path) -> StoreError:
    """The error for a store that exists and is not to be resumed."""
    return StoreError(
        f"{store} already holds a sweep: resume it (--resume, resume=True), give it more trials, seeds or steps "
        "(--extend, extend=True), or name another store"
    )


def unwritable(store: Path, error: Exception) -> StoreError:
    """The error for a store that cannot be written to."""
    reason = getattr(error, "strerror", None) or str(error)
    return StoreError(f"cannot write to the store {store}: {reason}; name a folder you may write to")
