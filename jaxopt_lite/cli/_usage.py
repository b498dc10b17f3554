"""The error for wrong input on the command line."""


class Usage(Exception):
    """Wrong input: the command prints the message as one line and exits with status 2."""
