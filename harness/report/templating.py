"""How is a page of this room made safe? One environment for every page: escaped, without scripts, loading nothing."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files as files_of
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.core.text import visible

STYLE = "report.css"
# The page has no script and one style sheet: were a text from outside ever printed unescaped, it still could neither
# run, nor load or send anything, nor restyle the page.
POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def environment(*more_styles: str) -> Environment:
    """Autoescaping is on for every template, whatever its name; a missing value is an error, not a blank.

    Args:
        more_styles: style sheets beside the report's own, such as "history.css".
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader("harness.report"), PackageLoader("harness.report", "sections")]),
        autoescape=True,
        undefined=StrictUndefined,
        optimized=False,  # to look for constants takes longer than one page gains by them
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    folder = files_of("harness.report") / "templates"
    css = "".join((folder / name).read_text(encoding="utf-8") for name in (STYLE, *more_styles))
    made.globals |= {
        "css": Markup(css),  # our own, the one text that is not escaped
        "policy": Markup(POLICY.format(base64.b64encode(hashlib.sha256(css.encode()).digest()).decode())),
    }
    return made


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
