"""HTML documents: rendered from the package's templates with escaping on, and written atomically."""

import base64
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def document(template: str, styles: tuple[str, ...], script: str | None = None, **values: Any) -> str:
    """Render a template of this package, in which every value that is not `Markup` is escaped.

    Args:
        template: name of a file in `TEMPLATES` that extends `shell.html`.
        styles: names of the style sheets there, which are inlined in this order.
        script: name of a script there, which is inlined; the content security policy permits this script only.
        values: the variables of the template.

    Raises:
        ModuleNotFoundError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ModuleNotFoundError:
        raise ModuleNotFoundError("pages need jinja2: pip install 'jaxopt-lite[plot]'", name="jinja2") from None
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    code = "" if script is None else (TEMPLATES / script).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in styles)),
        script=Markup(code),
        script_policy=Markup(f"'sha256-{digest}'" if code else "'none'"),
        **values,
    )


def write(path: Path, text: str) -> Path:
    """Write a file so that a reader sees either the old or the whole new one; its permissions follow the umask.

    Raises:
        OSError: the folder does not exist or is not writable; an old file is unchanged then.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)  # mkstemp makes files that only their owner can read
        return Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
