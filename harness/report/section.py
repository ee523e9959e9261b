"""A section of the report: its title, its view, the limits that it knows of, and its template in the same folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.report.printing import Printer
from harness.run.results import RunResults


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the evidence cannot carry, and what must not be said because of it."""

    what: Markup | str
    blocks: Markup | str

    @property
    def text(self) -> str:
        """Both as plain text."""
        return " ".join(Markup.escape(part).striptags() for part in (self.what, self.blocks))


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a section is made of.

    evidence:   prints what evidence.json holds.
    figures:    file stem -> PNG.
    thumbnails: digest of a cell -> WebP, or PNG in older packs.
    files:      names of the files in the pack that were written before the page.
    ignored:    the manifest's ignored files; None where no manifest was read.
    """

    run: RunResults
    evidence: Printer
    figures: Mapping[str, bytes]
    thumbnails: Mapping[str, bytes]
    files: Sequence[str]
    ignored: Sequence[str] | None


def nothing(_: Material) -> None:
    """The view of a section whose template needs none."""


def no_limits(_: Material) -> Iterable[Limit]:
    return ()


def no_facts(_: RunResults) -> object:
    return {}


@dataclass(frozen=True, slots=True)
class Section:
    """One section; its number is its place in SECTIONS (harness/report/sections/__init__.py).

    name:   of its folder under sections/, which holds its template.html.j2, and of its anchor on the page.
    view:   what the template gets as `view`.
    limits: what the run does not show, for the section of limits.
    facts:  numbers that the section prints and that nothing else records: evidence.json has them under page > name.
    """

    name: str
    title: str
    view: Callable[[Material], object] = nothing
    limits: Callable[[Material], Iterable[Limit]] = no_limits
    facts: Callable[[RunResults], object] = no_facts

    @property
    def template(self) -> str:
        return f"{self.name}/template.html.j2"
