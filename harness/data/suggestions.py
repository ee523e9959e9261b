"""Tables of the protocol that an error message prints, to be pasted, checked and completed by whoever reads it.

What is proposed here is never read by: a name that looks like a class is not one until somebody has said so.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from harness.core.text import shortened

MOST_LINES, LONGEST_NAME = 100, 100
BARE_KEY = re.compile("[A-Za-z0-9_-]+")


def toml_key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else toml_text(name)


def toml_text(text: str) -> str:
    r"""A basic string of TOML in ASCII, so that a letter that only looks like another is seen.

    >>> print(toml_text('a "b" \u202e\n'))
    "a \"b\" \u202E\u000A"
    """
    return f'"{"".join(_letter(c) for c in text)}"'


def _letter(c: str) -> str:
    if c in '"\\':
        return f"\\{c}"
    if " " <= c <= "~":
        return c
    return f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}"


def toml_table(set_name: str, key: str, lines: Sequence[str]) -> str:
    """A table of the dataset, or of an external set, as it stands in a protocol.

    >>> print(toml_table("dataset", "labels", ['BNE = "neutrophil"']))
    [dataset.labels]
    BNE = "neutrophil"
    """
    shown = [*lines[:MOST_LINES], *([f"# ... and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else [])]
    if set_name == "dataset":
        return "\n".join([f"[dataset.{key}]", *shown])
    return "\n".join(["[[external]]", f"name = {toml_text(set_name)}", f"[external.{key}]", *shown])


def labels_table(set_name: str, written: Sequence[str], classes: Sequence[str]) -> str:
    """One line for each name that is not a class, with the class that it may stand for, else with none."""
    lines = []
    for name in sorted(dict.fromkeys(written)):
        if len(name) > LONGEST_NAME:
            lines.append(f"# a name of {len(name):,} characters, to be shortened where it is written")
            continue
        close = close_class(name, classes)
        lines.append(f"{toml_key(name)} = {toml_text(close or '')}" + ("" if close else "  # which class?"))
    return toml_table(set_name, "labels", lines)


def close_class(name: str, classes: Sequence[str]) -> str | None:
    """The one class that a name probably stands for: it begins with it, or differs by a few letters.

    >>> close_class("Basophil granulocytes", ["basophil", "monocyte"]), close_class("Band", ["basophil", "monocyte"])
    ('basophil', None)
    """
    plain = {each.casefold(): each for each in classes}
    wanted = name.strip().casefold()
    begun = [own for folded, own in plain.items() if len(folded) > 2 and wanted.startswith(folded)]
    if len(begun) == 1:
        return begun[0]
    found = difflib.get_close_matches(wanted, plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def not_a_class(name: str, classes: Sequence[str]) -> str:
    """The name as it is written, and the class that it resembles."""
    # ascii() shows what the eye cannot: a trailing space, a Cyrillic letter, a combining accent.
    close = close_class(name, classes)
    return shortened(ascii(name), 300) + (f" (close to {close!r}, but not it)" if close else "")
