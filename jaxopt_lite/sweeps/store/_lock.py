"""The exclusive right to write to a store."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

FILE = "ledger.lock"
# Seconds to wait for the lock. `BEGIN EXCLUSIVE` reads the file first, so of two processes that start at the same
# moment each can stand in the other's way: without a wait, both would be refused.
PATIENCE = 1.0


class Lock:
    """The exclusive right to write to the folder `store`, until `release` or the end of the process.

    It is an exclusive SQLite transaction on a file beside the ledger: that works on every platform, and the system ends
    it when the process dies. Readers of the ledger do not need it.
    """

    def __init__(self, store: Path) -> None:
        """Lock the folder, which is made if it does not exist.

        Raises:
            BlockingIOError: another process holds the lock, and kept it for `PATIENCE` seconds.
            OSError, sqlite3.OperationalError: the folder cannot be written to.
        """
        self._path = store / FILE
        self._released = False
        self._new_folder = not store.exists()
        while True:
            store.mkdir(parents=True, exist_ok=True)
            self._new_file = _created(self._path)
            inode = _inode(self._path)
            self._connection = _locked(self._path)
            if inode is not None and _inode(self._path) == inode:
                return
            self._connection.close()  # its holder removed the file before we had the lock: try the new file

    def release(self, *, undo: bool = False) -> None:
        """Let other processes write. With `undo`, also remove the file and the folder if `Lock` made them.

        Calls after the first do nothing.
        """
        if self._released:
            return
        self._released = True
        if undo and self._new_file:
            with suppress(OSError):
                self._path.unlink()  # before the lock is released: see the end of `__init__`
        self._connection.close()
        if undo and self._new_folder:
            with suppress(OSError):  # the folder is not empty
                self._path.parent.rmdir()


def _created(path: Path) -> bool:
    """Create the file unless it exists. An existing file is not opened: closing it would end our own locks on it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except FileNotFoundError:  # the folder was removed meanwhile
        return False
    return True


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _locked(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise BlockingIOError(f"{path} is locked by another process") from None
        raise
    return connection
