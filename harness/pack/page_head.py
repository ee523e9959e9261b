"""What the head of a report tells a browser: how to read the page, and that it loads and sends nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from harness.pack.page_reading import PageRead

STYLE_HASH = "'sha256-{}'"
POLICY = f"default-src 'none'; img-src data:; style-src {STYLE_HASH}; base-uri 'none'; form-action 'none'"
METAS = (
    {"charset": "utf-8"},
    {"http-equiv": "Content-Security-Policy", "content": POLICY},
    {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    {"name": "referrer", "content": "no-referrer"},
)


def metas(page: PageRead) -> Iterator[str]:
    """Every `<meta>` that a report has, once, in whatever order, and no other."""
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    wanted = [{name: text.replace("{}", digest) for name, text in meta.items()} for meta in METAS]
    for meta in wanted:
        if (n := page.metas.count(meta)) != 1:
            yield f"the <meta> {_said(meta)} stands on it {n} times, and once on a report of this style"
    for meta in page.metas:
        if meta not in wanted:
            yield f"the <meta> {_said(meta)} stands on it, which no report of this style has"


def _said(meta: dict[str, str]) -> str:
    return " ".join(f"{name}={value[:200]!r}" for name, value in meta.items())
