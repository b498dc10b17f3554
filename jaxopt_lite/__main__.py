"""`python -m jaxopt_lite` runs the command `jaxopt-lite`."""

import sys

from jaxopt_lite.cli import main

if __name__ == "__main__":  # not in the processes that a benchmark starts
    sys.exit(main())
