"""Text from outside, made safe to show and short enough to read."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence


def visible(text: str) -> str:
    r"""Text from outside with every character that cannot be seen written as its escape.

    File names may hold lone surrogates (undecodable bytes, which no UTF-8 file can store), control characters, or
    direction overrides that make one name look like another.

    >>> visible("cell\u202egpj.exe"), visible("Zelle \xe4\n2")
    ('cell\\u202egpj.exe', 'Zelle \xe4\n2')
    """
    if text.isprintable():  # nearly every text is, and a page asks of two million characters
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def shortened(text: str, most: int) -> str:
    """The text, cut to `most` characters with "..." at its end where it is longer.

    >>> shortened("neutrophil", 10), shortened("neutrophils", 10)
    ('neutrophil', 'neutrop...')
    """
    return text if len(text) <= most else text[: most - 3] + "..."


def brief(value: object, most: int = 80) -> str:
    """`repr` of a value that somebody else chose, short enough for an error message."""
    return shortened(repr(value), most)


def first_few(items: Sequence[object], most: int, *, more: str = "... and {n} more") -> list[str]:
    """The first `most` items as text, and a last entry that says how many are left out.

    >>> first_few(["a", "b", "c"], 2), first_few(["a", "b"], 2)
    (['a', 'b', '... and 1 more'], ['a', 'b'])
    """
    n_left_out = len(items) - most
    return [*map(str, items[:most]), *([more.format(n=n_left_out)] if n_left_out > 0 else [])]


def perhaps_meant(words: Iterable[str], known: Collection[str]) -> str:
    """A sentence on what was probably meant by words that are not known; nothing where none is close to one that is.

    >>> perhaps_meant(["--predicitons", "--zzz"], ["--predictions", "--protocol"])
    'Perhaps meant: --predictions.'
    """
    close = [near for word in words if word not in known for near in difflib.get_close_matches(word, known, 1, 0.7)]
    return f"Perhaps meant: {', '.join(dict.fromkeys(close))}." if close else ""
