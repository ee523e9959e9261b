"""The example run with an attack in every text that comes from outside: names of files, classes and sets, prose, paths.

The attacks set the page's title to RAN or ask a server for something. Both can be seen from outside the page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from example_run import example_picture, example_run, write_example_dataset
from pydantic import BaseModel

from harness.data.records import Manifest
from harness.run.results import RunResults

RAN = "an attack ran"
RUN = f"document.title='{RAN}'"

# What a file can be called on Linux: no slash, at most 255 bytes.
NAMES = (
    f'"><img src=x onerror="{RUN}">',
    f"<body onload={RUN}>",
    f"<svg onload={RUN}>",
    f"' autofocus tabindex=1 onfocus=\"{RUN}\" x='",
    f"<details open ontoggle={RUN}>",
    f"javascript:{RUN}",
    "{{7*7}}${7*7}#{7*7}{%raw%}",
    "\u202egpj.exe",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "=cmd|' \uff0fC calc'!A0",
    "+1;=2+5\t=3",
    "@SUM(1+1)",
    "-1+1",
    "\t=1",
    "new\nline\r=1",
    "$x^{1$_{",
    "byte\udcff",
    "&lt;script&gt;&quot;&#39;",
)


def texts(server: str) -> tuple[str, ...]:
    """What a title, a reason or a command can hold besides."""
    return (
        f"</script><script>{RUN}</script>",
        f"</title><script>{RUN}</script>",
        f'"><img src="{server}/image" onerror="{RUN}">',
        f"</style><style>@import url({server}/style);</style>",
        f'<link rel="stylesheet" href="{server}/link">',
        f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe><iframe src="{server}/frame"></iframe>',
        f'<object data="{server}/object"></object><embed src="{server}/embed">',
        f'<p style="background:url({server}/background)">x</p>',
        f"<script>fetch('{server}/fetch');new Image().src='{server}/beacon'</script>",
    )


def hostile_name(cell_class: str, number: int) -> str:
    return f"{NAMES[number % len(NAMES)]}{number}.png"


def hostile_run(server: str) -> RunResults:
    """A run whose file names, sets, classes and prose attack whoever shows them."""
    run = example_run(file_name=hostile_name, content=example_picture, n_wrong=30)
    attack = "".join(texts(server))
    words = {
        "basophil": NAMES[0],
        "monocyte": NAMES[4],
        "second-laboratory": f"lab{NAMES[2]}",
        "Example protocol": f"Example {attack}",
        "Shows what a report looks like.": attack,
        "Synthetic cells, drawn by tests/example_run.py.": attack,
        "Another stain and another camera.": attack,
        "No Apple machine is at hand": attack,
        "a maintainer": attack,
        "pytest suites/ --device cpu": f"pytest {attack}",
        "2025-12-01T080000-77aa": f"baseline{attack}",
        "Ada, trust.toml": attack,
        "Linux-6.1-x86_64": attack,
        "is in no row of the manifest": attack,
        "no such folder": attack,
        "Middle of common adult reference ranges.": attack,
    }
    run = reworded(run, words)
    verdicts = tuple(
        dataclasses.replace(
            verdict,
            reason=f"{verdict.reason} {attack}",
            estimate=verdict.estimate and dataclasses.replace(verdict.estimate, details=(attack,), note=attack),
        )
        for verdict in run.verdicts
    )
    return dataclasses.replace(run, verdicts=verdicts)


def hostile_dataset(root: Path) -> Manifest:
    """The dataset of `hostile_run` on disk; class folders as in the example, since a slash is in no folder's name."""
    manifest = write_example_dataset(root, file_name=hostile_name)
    return dataclasses.replace(manifest, ignored=NAMES)


def reworded(value: Any, words: Mapping[str, str]) -> Any:
    """The same records with these words for those, wherever they stand."""
    if isinstance(value, str) and not isinstance(value, Enum):
        for old, new in words.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, BaseModel):
        # Past the checks, which refuse such names in a protocol: a page must not rest on them.
        return value.model_copy(update={name: reworded(each, words) for name, each in value})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: reworded(getattr(value, field.name), words) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, dict):
        return {reworded(key, words): reworded(each, words) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(reworded(each, words) for each in value)
    return value
