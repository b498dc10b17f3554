"""The command line: parses arguments, calls one function, prints."""

from jaxopt_lite.cli._main import main as main
