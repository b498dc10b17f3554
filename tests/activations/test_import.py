"""The room loads without flax and without matplotlib."""

import subprocess
import sys


def test_activations_import_neither_flax_nor_matplotlib() -> None:
    code = (
        "import sys, jaxopt_lite.activations; print([m for m in ('flax', 'matplotlib', 'optax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
