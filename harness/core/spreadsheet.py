"""How is a text written into a CSV so that no spreadsheet runs it, and read back to the very same text?

A spreadsheet takes a cell for a formula if it begins with one of a few characters. Which characters end a cell depends
on who opens the file where: a comma here, a semicolon or a tab there. So "./" goes before every formula character at
the beginning of the text or behind anything that some spreadsheet may take for the end of a cell. Before a path it
changes nothing; where it was there already, one more is put there and one taken off, so that nothing is lost.
"""

from __future__ import annotations

import re

# The list of OWASP's page on CSV injection, with the full-width forms that Japanese spreadsheets take for the same.
_FORMULA = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_PLACE = r"(?:\A|(?<=[,;|\t\r\n\"']))"
_AHEAD = rf"(?=(?:\./)* *[{_FORMULA}])"
_TO_GUARD = re.compile(_PLACE + _AHEAD)
_GUARDED = re.compile(rf"{_PLACE}\./{_AHEAD}")


def inert(text: str) -> str:
    r"""The text as a CSV has it.

    >>> inert("=cmd()"), inert("monocyte/x;=1+1.jpg"), inert("monocyte/BA-1.jpg")
    ('./=cmd()', 'monocyte/x;./=1+1.jpg', 'monocyte/BA-1.jpg')
    """
    return _TO_GUARD.sub("./", text)


def active(cell: str) -> str:
    """The text that a cell was written from.

    >>> active(inert("./=x")), active("monocyte/1.jpg")
    ('./=x', 'monocyte/1.jpg')
    """
    return _GUARDED.sub("", cell)
