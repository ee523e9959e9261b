"""Text from outside, made safe to show."""

from __future__ import annotations


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
