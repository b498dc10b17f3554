"""`python -m jaxopt_lite` runs the command `jaxopt-lite`."""

import sys

from jaxopt_lite.cli import main

sys.exit(main())
