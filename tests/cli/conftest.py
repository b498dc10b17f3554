import sys

import pytest

from jaxopt_lite.cli import main
from tests.cli.processes import SMALL, finished


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="package")
def swept(folder):
    """A finished small sweep of the spirals in the store `done` of `folder`."""
    return finished("sweep", "spirals", *SMALL, "--store", "done", "--json", cwd=folder)


@pytest.fixture
def command(tmp_path, monkeypatch, capfd, small_products):
    """Runs the command in this process and an empty folder; gives its status, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the folders of files

    def run(*arguments):
        try:
            status = main(list(arguments))
        except SystemExit as stopped:
            status = stopped.code
        return status, *capfd.readouterr()

    return run
