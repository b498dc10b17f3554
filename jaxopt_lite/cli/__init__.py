"""The command line: parses, calls one function, prints."""

from jaxopt_lite.cli._main import main as main
