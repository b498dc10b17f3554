"""The error for wrong input on the command line, and a check of file names that serves several commands."""

from pathlib import Path


class Usage(Exception):
    """Wrong input: the command prints the message as one line and exits with status 2."""


def check_output(flag: str, path: str | Path) -> Path:
    """The path of a file that a command will write, checked before anything slow runs.

    Raises:
        Usage: it is a folder, or the folder that it lies in does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise Usage(f"{flag} {path}: it is a folder; give the name of a file, as {path / 'name'}")
    if not path.resolve().parent.is_dir():
        raise Usage(f"{flag} {path}: there is no folder {path.parent}")
    return path
