"""Checks the report of a pack: the whole page where its renderer is installed, its numbers and verdicts anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from harness.claims.audit import audit
from harness.claims.pages import read_page as stated_on
from harness.claims.printing import as_json as claims_json
from harness.core.errors import HarnessError
from harness.core.text import visible
from harness.data.records import Manifest
from harness.pack.differences import compared, differences, first_of, in_lines, plain
from harness.pack.files import CLAIMS, EVIDENCE, REPORT
from harness.pack.page_check import check_page
from harness.pack.page_reading import Picture, read_page
from harness.pack.read import WITHOUT_PATHS, Pack
from harness.pack.rebuilding.frame import Discrepancy
from harness.pack.tables import as_json
from harness.report.page import render_report, renderer
from harness.report.pictures import KINDS, of_uri
from harness.report.places import Places
from harness.run.results import RunResults

SUFFIXES = tuple(f".{kind}" for kind in KINDS)


class PageCheck(StrEnum):
    """How far a report could be compared with its evidence."""

    WHOLE = "byte for byte: the renderer that printed it is the installed one"
    NUMBERS = (
        "by its numbers, verdicts and pictures only: another renderer than the installed one printed it, so nothing "
        "was found out of what else its words say or its style sheet shows"
    )
    PICTURES = "by its pictures only: this pack does not record what printed it, and its numbers carry no paths"
    NOT_CHECKED = "not at all"


def how_far(pack: Pack) -> PageCheck:
    """How far the page of this pack can be compared here."""
    if pack.evidence["schema"] in WITHOUT_PATHS:
        return PageCheck.PICTURES
    made_by = pack.evidence.get("renderer")
    same = isinstance(made_by, Mapping) and made_by.get("digest") == renderer()["digest"]
    return PageCheck.WHOLE if same else PageCheck.NUMBERS


def check_report(
    pack: Pack, run: RunResults, manifest: Manifest | None, document: Mapping[str, Any]
) -> Iterator[Discrepancy]:
    """Where the report and its audit differ from what follows from the records.

    Args:
        document: the content of evidence.json that follows from them.
    """
    if REPORT not in pack.files:
        yield Discrepancy(REPORT, "", "the report is not there")
        return
    content = pack.read(REPORT)
    page = content.decode("utf-8", "backslashreplace")
    before = sorted((name for name in pack.sums if name not in (REPORT, CLAIMS)), key=PurePosixPath)
    sums, how = {name: pack.sums[name] for name in before}, how_far(pack)
    read = read_page(page)
    if read.refused is not None:
        yield Discrepancy(REPORT, "", f"it is not written as a report is: {read.refused}")
        return
    pictures = read.pictures
    if how is PageCheck.PICTURES and read.marks:
        yield Discrepancy(EVIDENCE, "schema", "the page was printed from a later schema: its numbers carry paths")
    yield from _pictures(pack, pictures, strictly=how is not PageCheck.PICTURES)
    if how is not PageCheck.PICTURES:
        found = (Discrepancy(REPORT, *each) for each in check_page(page, read, Places(document, run, sums), document))
        yield from first_of(found, REPORT)
    if how is PageCheck.WHOLE:
        yield from _printed_again(pack, run, manifest, document, content, pictures, sums)
    for each in _claims(pack, page, {*before, REPORT}, whole=how is PageCheck.WHOLE):
        yield replace(each, message=f"{each.message}{_newer(run)}")
        return  # one is enough: what is counted differently once is counted differently all along


# --- pictures -------------------------------------------------------------------------------------


def _figures(pack: Pack) -> dict[str, bytes]:
    """File name -> content of every figure in the pack."""
    names = (PurePosixPath(name) for name in pack.files if name in pack.sums)
    return {
        name.name: pack.read(str(name)) for name in names if str(name.parent) == "figures" and name.suffix in SUFFIXES
    }


def _named(picture: Picture) -> str | None:
    """The file of a figure that its caption names."""
    found = re.search(r"\(figures/([^)\n]*)\)\s*$", picture.caption)
    return found[1] if found and PurePosixPath(found[1]).suffix in SUFFIXES else None


def _pictures(pack: Pack, pictures: list[Picture], *, strictly: bool) -> Iterator[Discrepancy]:
    figures = {visible(name): content for name, content in _figures(pack).items()}
    shown = [(name, each) for each in pictures if each.in_figure and (name := _named(each)) is not None]
    for name, picture in shown:
        if name not in figures:
            yield Discrepancy(f"figures/{name}", "", f"{REPORT} shows this figure, and there is no such file")
        elif of_uri(picture.src) != figures[name]:
            yield Discrepancy(f"figures/{name}", "", f"it is not the picture that {REPORT} shows")
    if strictly:
        for name in sorted(figures.keys() - {name for name, _ in shown}):
            yield Discrepancy(f"figures/{name}", "", f"{REPORT} does not show this figure")
        if any(_named(each) is None for each in pictures if each.in_figure):
            yield Discrepancy(REPORT, "figure", "a figure names no file")


# --- the whole page -------------------------------------------------------------------------------


def _printed_again(
    pack: Pack,
    run: RunResults,
    manifest: Manifest | None,
    document: Mapping[str, Any],
    content: bytes,
    pictures: list[Picture],
    sums: Mapping[str, str],
) -> Iterator[Discrepancy]:
    """Print the page again from the records, and say where the one in the pack differs."""
    cells = {each.digest: png for each in pictures if not each.in_figure and (png := of_uri(each.src)) is not None}
    try:
        again = render_report(
            run,
            evidence=document,
            figures={PurePosixPath(name).stem: content for name, content in _figures(pack).items()},
            thumbnails={digest: png for digest, png in cells.items() if digest is not None},
            files=sums,
            ignored=manifest.ignored if manifest is not None else None,
        )
    except HarnessError as error:
        yield Discrepancy(EVIDENCE, "", f"no report can be made of these records: {error}")
        return
    if content != again.encode():
        differing = (Discrepancy(REPORT, field, message) for field, message in in_lines(content, again.encode()))
        yield from first_of(differing, REPORT)
        yield Discrepancy(REPORT, "", f"it is not the page that the harness here prints of these records{_newer(run)}")


def _newer(run: RunResults) -> str:
    commit = run.environment.get("commit", "unknown")
    return f"; if this harness is another than the run's (commit {commit}), verify with the run's"


# Of an audit, what a reader that understands more of the same page must come to as well.
DECIDED = ("schema", "report", "holds", "findings")


def _claims(pack: Pack, page: str, files: set[str], *, whole: bool) -> Iterator[Discrepancy]:
    """What `python -m harness claims` says of the page, as it was written beside it.

    whole: whether the page was printed by this harness. Another one's audit may have read fewer of its statements.
    """
    report = stated_on(page, REPORT)
    stated = report.statements or report.unbound or report.problems or report.pins
    if not stated:
        if CLAIMS in pack.files:
            yield Discrepancy(CLAIMS, "", "the page states nothing that it could be an audit of")
        return
    found = audit(report, rounding="nearest", exists=lambda name: str(PurePosixPath(name)) in files)
    today = claims_json(found)
    if whole or CLAIMS not in pack.files:
        yield from compared(pack, CLAIMS, as_json(today))
        return
    written = json.loads(pack.read(CLAIMS))
    if not isinstance(written, dict):
        yield Discrepancy(CLAIMS, "", "it is not an audit: an object of JSON is expected")
        return
    for name in DECIDED:
        for field, message in differences(written.get(name), plain(today.get(name)), name):
            yield Discrepancy(CLAIMS, field, message)
