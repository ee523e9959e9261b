"""Prints values of the evidence, each in an element that carries the path of what it prints.

Nothing here computes: a number is on the page because it is in the evidence. `python -m harness verify` compares each
element with the value at its path (harness/pack/page_values.py), whichever version of the templates made the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from harness.core.text import visible
from harness.report import wording
from harness.report.places import SIZE, Places, written

LEVEL = ("page", "level")
TINY = 1e-9  # a smaller number is only said to be smaller


class Printer:
    """Each method takes the steps of a path, and gives the value there as one element of the page."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def at(self, *steps: object) -> Any:
        return self.places.at(*steps)

    def text(self, *steps: object) -> Markup:
        return element(steps, str(self.at(*steps)))

    def count(self, *steps: object) -> Markup:
        """A whole number with separators of thousands."""
        return element(steps, f"{self.at(*steps):,}")

    def plain_count(self, *steps: object) -> Markup:
        return element(steps, str(self.at(*steps)))

    def size(self, *steps: object) -> Markup:
        """How many entries a list has."""
        return self.count(*steps, SIZE)

    def undefined(self, *steps: object) -> Markup:
        """That a row of counts, all of them 0, has no share."""
        return element(steps, wording.UNDEFINED)

    def word(self, *steps: object, yes: str, no: str) -> Markup:
        return element(steps, yes if self.at(*steps) else no)

    def either(self, *steps: object, otherwise: str) -> Markup:
        """A text, or what stands for it where the evidence has none."""
        value = self.at(*steps)
        return element(steps, str(value) if value not in (None, "") else otherwise)

    def digest(self, *steps: object, titled: bool = False) -> Markup:
        """The beginning of a digest; titled: with all of it for whoever points at it."""
        value = self.at(*steps)
        return element(steps, wording.short(value), title=value if titled else None)

    def date(self, *steps: object) -> Markup:
        return element(steps, self.at(*steps).replace("T", " ", 1).replace("+00:00", " UTC"))

    def day(self, *steps: object) -> Markup:
        return element(steps, self.at(*steps)[:10])

    def duration(self, *steps: object) -> Markup:
        return element(steps, wording.duration(self.at(*steps)))

    def level(self, *steps: object) -> Markup:
        return element(steps or LEVEL, wording.percent_of(self.at(*(steps or LEVEL))))

    def share(self, *steps: object, decimals: int = 2, beside: Iterable[float] = (), lead: str = "") -> Markup:
        value = self.at(*steps)
        text = wording.UNDEFINED if value is None else wording.share(value, decimals=decimals, beside=beside)
        return element(steps, lead + text)

    def points(self, *steps: object) -> Markup:
        return element(steps, wording.points(self.at(*steps)))

    def number(self, *steps: object, significant: int = 4, beside: Iterable[float] = ()) -> Markup:
        value = self.at(*steps)
        return element(
            steps,
            wording.NOTHING if value is None else _plain(value, significant=significant, beside=beside),
        )

    def probability(self, *steps: object) -> Markup:
        value = self.at(*steps)
        return element(steps, wording.NOTHING if value is None else wording.probability(value))

    def quantity(self, *steps: object, unit: str, beside: Iterable[float] = (), lead: str = "") -> Markup:
        value = self.at(*steps)
        return element(steps, lead + wording.quantity(value, unit, beside=beside))

    def counts(self, *steps: object) -> Markup:
        """k/n of a record that has both."""
        found = self.at(*steps)
        return element(steps, f"{found['k']}/{found['n']}")

    def proportion(self, *steps: object) -> Markup:
        """k/n of a record that has both, with its percentage."""
        found = self.at(*steps)
        if found is None or found["k"] is None or found.get("value", 0) is None:
            return element(steps, wording.UNDEFINED)
        return element(steps, wording.proportion(found["k"], found["n"]))

    def ratio(self, *steps: object, of: str) -> Markup:
        """The same where the count has another name than k, and its whole the name `of` beside it."""
        k, whole = self.at(*steps), (*steps[:-1], of)
        n = self.at(*whole)
        return element(steps, wording.proportion(k, n), of=whole)

    def interval(self, *steps: object, unit: str = "fraction", beside: Iterable[float] = ()) -> Markup:
        """The bounds of a record that has a lower and an upper one."""
        found = self.at(*steps)
        if found is None or (unit == "fraction" and None in (found["lower"], found["upper"])):
            return element(steps, wording.NOTHING)
        lower, upper = (
            wording.NOTHING if found[side] is None else _in_unit(found[side], unit, beside)
            for side in ("lower", "upper")
        )
        return element(steps, f"{lower} to {upper}")

    def points_range(self, *steps: object) -> Markup:
        found = self.at(*steps)
        text = wording.NOTHING if found is None else wording.points(found["lower"], found["upper"])
        return element(steps, text)


def _plain(value: float, *, significant: int = 4, beside: Iterable[float] = ()) -> str:
    """A number; of one that is next to nothing that it is, instead of a hundred zeros."""
    limits = tuple(beside)
    if 0 < value < TINY and not any(0 < limit < TINY for limit in limits):
        return f"< {TINY:.9f}"
    return wording.number(value, significant=significant, beside=limits)


def _in_unit(value: float, unit: str, beside: Iterable[float]) -> str:
    return _plain(value, beside=beside) if unit == "number" else wording.quantity(value, unit, beside=beside)


def element(
    steps: tuple[object, ...], text: str, *, of: tuple[object, ...] | None = None, title: str | None = None
) -> Markup:
    """The element that says `text` of what lies at a path, or at two: a count and its whole."""
    attributes = {"data-path": written(steps), "data-of": of and written(of), "title": title and visible(title)}
    said = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items() if value is not None)
    return Markup("<data{}>{}</data>").format(Markup(said), visible(text))  # every part of `said` was escaped


def sentence(template: str, **parts: object) -> Markup:
    """A sentence of ours with its parts: what is not an element of a printer is escaped."""
    return Markup(template).format(
        **{name: part if isinstance(part, Markup) else visible(str(part)) for name, part in parts.items()}
    )


def listed(parts: Iterable[Markup], separator: str = ", ") -> Markup:
    return Markup(separator).join(parts)
