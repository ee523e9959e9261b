"""What stands beside the numbers: words that claim more than the counts carry, files that are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from harness.claims.findings import AuditFinding
from harness.claims.notes import Note
from harness.claims.records import Errors, Matrix, Place, ReportClaims, Size
from harness.claims.words import StrongWord, strong_words

LEVEL = 0.95  # one-sided, as the gates of this harness
THIN = 0.90  # an external set whose lower bound stays under this carries no strong word

FileExists: TypeAlias = Callable[[str], bool]


def _counts_of(report: ReportClaims, name: str) -> tuple[int, int] | None:
    """(correct, n) of a set where the report states both, each once."""
    sizes = {s.content.n for s in report.of(name) if isinstance(s.content, Size)}
    errors = {s.content.count for s in report.of(name) if isinstance(s.content, Errors)}
    for statement in report.of(name):
        if isinstance(statement.content, Matrix) and not sizes:
            sizes = {sum(map(sum, statement.content.counts))}
            errors = {sizes.copy().pop() - sum(row[i] for i, row in enumerate(statement.content.counts))}
    if len(sizes) != 1 or len(errors) != 1:
        return None
    n, wrong = sizes.pop(), errors.pop()
    return (n - wrong, n) if 0 <= wrong <= n and n else None


def overclaims(report: ReportClaims) -> Iterator[AuditFinding]:
    """Strong words beside evidence too thin for them, one finding per set."""
    by_set: dict[str | None, list[StrongWord]] = {}
    for word in strong_words(report.sentences):
        by_set.setdefault(word.set if word.set in report.sets and word.set != "dataset" else None, []).append(word)
    for name, words in by_set.items():
        said = ", ".join(f'"{word}"' for word in dict.fromkeys(word.word for word in words))
        places = tuple(sorted({word.place for word in words}))
        counts = _counts_of(report, name) if name is not None else None
        if counts is None:
            if not report.prints_bounds:
                yield AuditFinding("overclaim", name, f"{said}: no interval or bound is printed for it", places)
            continue
        from harness.metrics.intervals import clopper_pearson_bounds  # half a second to import, for a few reports

        k, n = counts
        lower, _ = clopper_pearson_bounds(k, n, level=LEVEL)
        covered = next(((c, of) for set_name, c, of, _ in report.coverage if set_name == name), None)
        one_class = f", and only {covered[0]} of {covered[1]} classes" if covered else ""
        if report.prints_bounds and lower >= THIN and not covered:
            continue
        yield AuditFinding(
            "overclaim",
            name,
            f"{said} rests on {k:,}/{n:,}{one_class}: exact one-sided 95 % lower bound {lower:.4f}"
            + (", and the report prints no bound" if not report.prints_bounds else ""),
            places,
        )


def files(report: ReportClaims, exists: FileExists) -> tuple[list[AuditFinding], list[Note]]:
    findings, notes = [], []
    for said, listed, place in report.file_totals:
        if said != listed:
            findings.append(
                AuditFinding("files", None, f"the list is headed {said} and has {listed} entries", (place,))
            )
    # A list may name the file alone where the text gave the folder.
    shown = {reference.path for reference in report.files if "/" in reference.path}
    names = {path.rsplit("/", 1)[-1] for path in shown}
    wanted: dict[str, list[Place]] = {}
    kinds: dict[str, bool] = {}
    for reference in report.files:
        base = reference.path.rsplit("/", 1)[-1]
        key = (
            next((path for path in shown if path.endswith("/" + base)), reference.path)
            if base in names
            else reference.path
        )
        wanted.setdefault(key, []).append(reference.place)
        kinds[key] = reference.is_figure
    for is_figure, word in ((True, "figures"), (False, "files")):
        paths = [path for path in wanted if kinds[path] is is_figure]
        missing = [path for path in paths if not exists(path)]
        if paths and len(missing) == len(paths):
            notes.append(Note(None, f"none of the {len(paths)} {word} that the report shows or lists is beside it"))
            continue
        for path in missing:
            findings.append(AuditFinding("files", None, f"{path} is not beside the report", tuple(wanted[path])))
    return findings, notes
