"""`python -m jaxopt_lite` is `jaxopt-lite`."""

import sys

from jaxopt_lite.cli import main

sys.exit(main())
