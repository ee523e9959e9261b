"""What does a document state, about which set, and where? From lines and tables to bound, merged statements."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.claims.document import Document, Line
from harness.claims.pins import read_pins
from harness.claims.prose import read_line, sentences
from harness.claims.records import (
    Accuracy,
    Averages,
    ClassCounts,
    Content,
    Directions,
    Errors,
    FalseCounts,
    FileReference,
    Matrix,
    PerClass,
    Pin,
    Place,
    Printed,
    Problem,
    ReportClaims,
    Row,
    Rows,
    Sentence,
    Size,
    Statement,
    Supports,
    names_of,
)
from harness.claims.sets import Binder, several_of_a_kind
from harness.claims.subjects import SEVERAL, Subjects
from harness.claims.tables import class_key, is_set_table, read_table, set_names
from harness.claims.words import names_strong_word

_USUAL = {"train", "validation", "test", "external", "dataset"}
_FILE = re.compile(r"`([^`\s]+\.(?:png|jpe?g|svg|pdf|gif|csv|pth|pkl|pt|onnx|safetensors|json))`", re.IGNORECASE)
_FIGURE = re.compile(r"\.(?:png|jpe?g|svg|gif|pdf)$", re.IGNORECASE)
_RESULTS = (Accuracy, Averages, ClassCounts, Directions, Errors, FalseCounts, Matrix, Rows)
_IN_PART = (Accuracy, Rows, Directions, Supports, FalseCounts)  # may say less than another; the others say the same
_MOST_LINES = 2_000  # lines with a number; more are a log or data, not a report
_NUMBER = re.compile(r"\d|\b(?:both|one|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE)
_MOST_COMPARED = 200  # statements of one kind; no report has more
_CLASS_WORDS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_N_CLASSES = re.compile(
    rf"(?<![\w.,/-])(\d{{1,2}}|{'|'.join(_CLASS_WORDS)})[\s-]+(?:\w+[\s-]+)?"
    r"(?:class(?:es)?|categories|(?:cell )?types)\b",
    re.IGNORECASE,
)
_BOUNDS = re.compile(
    r"\b(?:confidence (?:interval|bound|limit)|(?:lower|upper|one-sided|\d+\s*%)[\s-]+(?:\w+\s+)?(?:bound|interval|CI)|"
    r"CI\s*[:=\[(]|wilson|clopper|konfidenzintervall|vertrauensbereich)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Found:
    set: str | None
    content: Content
    places: tuple[Place, ...]
    block: int
    from_table: bool
    note: str = ""
    subject: str | None = None


def extract(document: Document, file: str) -> ReportClaims:
    """Everything that the document states in a form that has one reading."""
    families = _class_families(document, file)
    classes = tuple(name for family in families for name in family)
    apart = several_of_a_kind(document)
    words = replace(apart, names=(*(name for name in _set_names(document) if name not in _USUAL), *apart.names))
    subjects = Subjects(document)
    readings = [read_table(table, file, classes) for table in document.tables]
    with_table = frozenset(
        table.heading
        for table, reading in zip(document.tables, readings, strict=True)
        if reading.kind in ("classes", "matrix") and table.heading is not None
    )
    binder = Binder(document, words, with_table)
    found: list[_Found] = []
    problems: list[Problem] = []
    for number, (table, reading) in enumerate(zip(document.tables, readings, strict=True)):
        problems += reading.problems
        bound = words.one(table.caption) or (
            binder.of_section(table.heading) if not words.named(table.caption) else None
        )
        subject = subjects.of_table(table)
        for read in reading.found:
            name = read.set if read.set is not None else bound
            found.append(_Found(name, read.content, read.places, -1 - number, True, subject=subject))
    coverage: list[tuple[str, int, int, Place]] = []
    ratios: dict[str, tuple[int, list[Place]]] = {}
    stratified: list[Place] = []
    numbered = [line for line in document.lines if _NUMBER.search(line.text) or "stratif" in line.text.lower()]
    unread = list(document.unread)
    if len(numbered) > _MOST_LINES:
        unread.append(f"of {len(numbered):,} lines with numbers those after line {numbered[_MOST_LINES - 1].number:,}")
    for line in numbered[:_MOST_LINES]:
        place = Place(file, line.number, line.text)
        reading_of = read_line(line.text, classes=classes, one_set=words.one)
        for saying in reading_of.sayings:
            bound = saying.set
            if bound is None or (bound == "dataset" and not saying.exact_set):
                bound = binder.of(line.text, line.heading) if not saying.exact_set else bound
            subject = subjects.of_line(line, saying.sentence)
            found.append(_Found(bound, saying.content, (place,), line.block, False, subject=subject))
        problems += [Problem(f"{text}: more than there are", (place,)) for text in reading_of.problems]
        covered = reading_of.covers
        if covered and covered[0] < covered[1] and (of_line := binder.of(line.text, line.heading)):
            coverage.append((of_line, *covered, place))
        for name, percent in zip(("train", "validation", "test"), reading_of.ratios, strict=False):
            ratios.setdefault(name, (percent, []))[1].append(place)
        if reading_of.stratified:
            stratified.append(place)
    found = _of_one_dataset(found)
    found += _derived(found, ratios, stratified)
    found = _of_one_family(_of_one_subject(found), families)
    statements, unbound = _merged(found)
    return ReportClaims(
        name=file,
        classes=families[0] + _unnamed(document, families[0]) if families else (),
        statements=statements,
        problems=tuple(problems) + tuple(_split_problems(statements, ratios, len(classes))),
        unbound=unbound,
        pins=_pins(document, file),
        files=_files(document, file),
        file_totals=_file_totals(document, file),
        sentences=tuple(_sentences(document, file, binder)),
        coverage=tuple(coverage),
        unread=(*unread, *(reading.unread for reading in readings if reading.unread)),
        prints_bounds=any(
            _BOUNDS.search(text)
            for text in (*(line.text for line in document.lines), *(" | ".join(t.header) for t in document.tables))
        ),
    )


def _class_families(document: Document, file: str) -> list[tuple[str, ...]]:
    """The classes that class tables and matrices name, by task: first the one that most tables are about.

    A table whose classes another one has too belongs to it. Abbreviations, or another task, are a family of their own.
    """
    names: dict[str, str] = {}
    tables = []
    for table in document.tables:
        own = read_table(table, file, ()).classes
        for name in own:
            names.setdefault(class_key(name), name)
        if own:
            tables.append(tuple(dict.fromkeys(map(class_key, own))))
    families: list[tuple[str, ...]] = []
    count: Counter[tuple[str, ...]] = Counter()
    for own in sorted(tables, key=len, reverse=True):
        family = next((family for family in families if set(own) <= set(family)), own)
        if family is own:
            families.append(own)
        count[family] += 1
    families.sort(key=lambda family: (-count[family], tables.index(family)))
    taken: set[str] = set()
    made = []
    for family in families:
        made.append(tuple(names[key] for key in family if key not in taken))
        taken.update(family)
    return made


def _unnamed(document: Document, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Classes that the report counts ("five classes") and that no table of it names."""
    said = [
        _CLASS_WORDS.get(match[1].lower()) or int(match[1])
        for line in document.lines
        for match in _N_CLASSES.finditer(line.text)
    ]
    missing = max(said, default=0) - len(classes)
    return tuple(f"class {len(classes) + i + 1} (not named)" for i in range(missing))


def _set_names(document: Document) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for table in document.tables:
        if is_set_table(table):
            names.update((name, None) for name in set_names(table) if name)
    return tuple(names)


# --- what speaks of one thing --------------------------------------------------------------------


def _of_one_dataset(found: list[_Found]) -> list[_Found]:
    """ "The dataset" with two sizes is two datasets, or one before and after cleaning: neither is used."""
    kept = list(found)
    for kind in (Size, PerClass):
        if len({entry.content for entry in kept if entry.set == "dataset" and isinstance(entry.content, kind)}) > 1:
            kept = [
                replace(entry, set=None) if entry.set == "dataset" and isinstance(entry.content, kind) else entry
                for entry in kept
            ]
    return kept


def _of_one_subject(found: list[_Found]) -> list[_Found]:
    """Where results of one set are told apart by model, reader or site and differ, each has a set of its own."""
    out = list(found)
    for name in {entry.set for entry in found if entry.set is not None}:
        results = [
            entry
            for entry in found
            if entry.set == name and entry.subject and (entry.from_table or isinstance(entry.content, _RESULTS))
        ]
        subjects = {entry.subject for entry in results if entry.subject is not None}
        # "ResNet" beside one "ResNet50" is short for it.
        short = {
            s: longer[0] for s in subjects if len(longer := [o for o in subjects if o != s and o.startswith(s)]) == 1
        }
        if len(subjects - set(short)) < 2 or not _differ(results):
            continue
        apart = set(map(id, results))
        sets = dict.fromkeys(f"{name}, {subject}" for subject in sorted(subjects - set(short) - {SEVERAL}))
        for index, entry in enumerate(out):
            if id(entry) in apart:
                subject = short.get(entry.subject or "", entry.subject)
                out[index] = replace(entry, set=None if subject == SEVERAL else f"{name}, {subject}")
        # How large the set is holds for each of them.
        about = [entry for entry in out if entry.set == name and isinstance(entry.content, Size | PerClass)]
        if len({type(entry.content) for entry in about}) == len({entry.content for entry in about}):
            out += [replace(entry, set=own) for own in sets for entry in about]
    return out


def _differ(results: list[_Found]) -> bool:
    by_kind: dict[tuple[type, tuple[str, ...]], list[_Found]] = {}
    for entry in results:
        by_kind.setdefault((type(entry.content), names_of(entry.content)), []).append(entry)
    return any(
        a.subject != b.subject and not _repeats(a.content, b.content) and not _repeats(b.content, a.content)
        for entries in by_kind.values()
        for i, a in enumerate(entries[:_MOST_COMPARED])
        for b in entries[:i]
    )


def _of_one_family(found: list[_Found], families: list[tuple[str, ...]]) -> list[_Found]:
    """Tables of other classes than most have a set of their own: what they share with the rest is not said."""
    main = set(families[0]) if families else set()
    out = []
    for entry in found:
        names = names_of(entry.content)
        if entry.set and names and not set(names) <= main:
            shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            entry = replace(entry, set=f"{entry.set}, classes {shown}" if entry.from_table else None)
        out.append(entry)
    return out


# --- what follows from the split ------------------------------------------------------------------


def _derived(found: list[_Found], ratios: dict[str, tuple[int, list[Place]]], stratified: list[Place]) -> list[_Found]:
    """A stratified split of a dataset with m images per class has m x ratio per class in each part."""
    per_class = [entry for entry in found if entry.set == "dataset" and isinstance(entry.content, PerClass)]
    if not per_class or not stratified or len({entry.content for entry in per_class}) != 1:
        return []
    content = per_class[0].content
    assert isinstance(content, PerClass)
    derived = []
    for name, (percent, places) in ratios.items():
        exact = Fraction(content.least * percent, 100)
        least = exact.numerator // exact.denominator
        most = least if exact.denominator == 1 else least + 1
        where = tuple(place for entry in per_class for place in entry.places) + tuple(places) + tuple(stratified)
        note = f"{content.least:,} per class x {percent} %, stratified"
        derived.append(_Found(name, PerClass(least, most), tuple(sorted(set(where))), 0, False, note))
    return derived


def _split_problems(
    statements: tuple[Statement, ...], ratios: dict[str, tuple[int, list[Place]]], n_classes: int
) -> Iterable[Problem]:
    sizes: dict[str, Statement] = {}
    for statement in statements:
        if isinstance(statement.content, Size):
            if statement.set in sizes:
                return  # two sizes of one set: that is a conflict of its own
            sizes[statement.set] = statement
    whole = sizes.get("dataset")
    if whole is None:
        return
    total = _n(whole)
    parts = [sizes[name] for name in ("train", "validation", "test") if name in sizes]
    if len(parts) == 3 and sum(map(_n, parts)) != total:
        said = " + ".join(f"{_n(part):,}" for part in parts)
        places = tuple(place for part in (*parts, whole) for place in part.places)
        yield Problem(
            f"train, validation and test have {said} = {sum(map(_n, parts)):,} images, the dataset {total:,}", places
        )
    for name, (percent, where) in ratios.items():
        slack = max(1, n_classes)  # each class may round by less than one image
        if name in sizes and abs(Fraction(total * percent, 100) - _n(sizes[name])) >= slack:
            yield Problem(
                f"{percent} % of {total:,} is {float(Fraction(total * percent, 100)):g}, "
                f"not the {_n(sizes[name]):,} images printed for {name}",
                (*where, *sizes[name].places),
            )


def _n(statement: Statement) -> int:
    assert isinstance(statement.content, Size)
    return statement.content.n


# --- one statement per thing said -----------------------------------------------------------------


def _merged(found: list[_Found]) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """Statements that say the same, or less than another of their kind, become one with all its places."""
    grouped = _with_counts_of_one_list(found)
    # Tables first: prose repeats them. Narrow before wide: 99.5 % repeats 99.47 %.
    ordered = sorted(grouped, key=lambda e: (not e.from_table, _width(e.content), min(p.line for p in e.places)))
    kept: list[_Found] = []
    more: dict[int, list[Place]] = {}  # index in kept -> places of what repeats it
    said: dict[tuple[str | None, Content], int] = {}
    for entry in ordered:
        index = said.get((entry.set, entry.content), -1)
        if index < 0 and isinstance(entry.content, _IN_PART):
            same = (k for k, o in enumerate(kept) if entry.set == o.set and _repeats(entry.content, o.content))
            index = next(same, -1)
        if index >= 0:
            said[entry.set, entry.content] = index
            more.setdefault(index, []).extend(entry.places)
            if kept[index].note != entry.note:
                kept[index] = replace(kept[index], note="")
        else:
            rest = _left_of_rows(entry, kept)
            if rest is not None:
                said[rest.set, rest.content] = len(kept)
                kept.append(rest)
    kept = [replace(entry, places=(*entry.places, *more.get(index, ()))) for index, entry in enumerate(kept)]
    kept.sort(key=lambda e: (min(p.line for p in e.places), type(e.content).__name__))
    made = [Statement(e.set or "", e.content, tuple(sorted(set(e.places))), e.note) for e in kept]
    return tuple(s for s in made if s.set), tuple(s for s in made if not s.set)


def _with_counts_of_one_list(found: list[_Found]) -> list[_Found]:
    """Counts that one list states class by class, or direction by direction, are one statement."""
    lists: dict[tuple[str | None, int, str], list[_Found]] = {}
    rest = []
    for entry in found:
        content = entry.content
        listed = isinstance(content, FalseCounts) or (isinstance(content, Directions) and not content.exclusive)
        if listed and not entry.from_table:
            lists.setdefault((entry.set, entry.block, type(content).__name__), []).append(entry)
        else:
            rest.append(entry)
    for entries in lists.values():
        places = tuple(place for entry in entries for place in entry.places)
        counts = {count for e in entries if isinstance(e.content, FalseCounts) for count in e.content.counts}
        cells = {cell for e in entries if isinstance(e.content, Directions) for cell in e.content.cells}
        if len({count[:2] for count in counts}) < len(counts) or len({cell[:2] for cell in cells}) < len(cells):
            rest += entries  # the list contradicts itself: its lines stay apart, so that the audit can say where
        elif counts:
            rest.append(replace(entries[0], content=FalseCounts(tuple(sorted(counts))), places=places))
        else:
            rest.append(replace(entries[0], content=Directions(tuple(sorted(cells)), exclusive=False), places=places))
    return rest


def _width(content: Content) -> Fraction:
    if isinstance(content, Accuracy):
        return content.share.unit
    if isinstance(content, Rows):
        return max((share.unit for row in content.rows for share in row.shares if share), default=Fraction(0))
    if isinstance(content, Directions):
        return Fraction(0 if content.exclusive else 1)
    if isinstance(content, Supports):
        return Fraction(1, len(content.counts))
    return Fraction(0)


def _repeats(said: Content, before: Content) -> bool:
    """Whether `said` follows from `before`, a statement of the same kind."""
    if type(said) is not type(before):
        return False
    if said == before:
        return True
    if isinstance(said, Accuracy) and isinstance(before, Accuracy):
        return _within(before.share, said.share)
    if isinstance(said, Rows) and isinstance(before, Rows):
        return all(any(_row_repeats(row, other) for other in before.rows) for row in said.rows)
    if isinstance(said, Directions) and isinstance(before, Directions):
        return set(said.cells) <= set(before.cells) and (before.exclusive or not said.exclusive)
    if isinstance(said, Supports) and isinstance(before, Supports):
        return set(said.counts) <= set(before.counts)
    if isinstance(said, FalseCounts) and isinstance(before, FalseCounts):
        return set(said.counts) <= set(before.counts)
    return False


def _within(narrow: Printed, wide: Printed) -> bool:
    inner, outer = narrow.band("nearest"), wide.band("nearest")
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _row_repeats(row: Row, other: Row) -> bool:
    return row.name == other.name and all(
        mine is None or (theirs is not None and _within(theirs, mine))
        for mine, theirs in zip(row.shares, other.shares, strict=True)
    )


def _left_of_rows(entry: _Found, kept: list[_Found]) -> _Found | None:
    """Of several rows in one statement, those that no other statement has; their places go to the others."""
    if not isinstance(entry.content, Rows) or len(entry.content.rows) == 1 or entry.from_table:
        return entry
    left = []
    for row in entry.content.rows:
        for index, other in enumerate(kept):
            if other.set == entry.set and isinstance(other.content, Rows) and _repeats(Rows((row,)), other.content):
                kept[index] = replace(other, places=tuple(sorted(set(other.places + entry.places))))
                break
        else:
            left.append(row)
    return replace(entry, content=Rows(tuple(left))) if left else None


# --- beside the numbers -----------------------------------------------------------------------------


def _pins(document: Document, file: str) -> tuple[Pin, ...]:
    lines: list[tuple[int, str]] = [*document.code, *((line.number, line.text) for line in document.lines)]
    return tuple(pin for number, text in sorted(lines) for pin in read_pins(text, Place(file, number, text.strip())))


def _files(document: Document, file: str) -> tuple[FileReference, ...]:
    found: list[FileReference] = []
    for image in document.images:
        if not re.match(r"[a-z]+:", image.path, re.IGNORECASE):
            found.append(FileReference(image.path, Place(file, image.line, image.path), True))
    for line in document.lines:
        for match in _FILE.finditer(line.text):
            found.append(FileReference(match[1], Place(file, line.number, line.text), bool(_FIGURE.search(match[1]))))
    return tuple(found)


def _file_totals(document: Document, file: str) -> tuple[tuple[int, int, Place], ...]:
    """Sections that say how many figures or files they list, and how many they do list."""
    totals = []
    for index, heading in enumerate(document.headings):
        match = re.search(r"\b(?:figures?|files?|images)\b.*\((\d+)(?:\s+in)?\s+total\)", heading.title, re.IGNORECASE)
        if match:
            listed = [m for line in _own(document, index) for m in _FILE.finditer(line.text)]
            if listed:
                totals.append((int(match[1]), len(listed), Place(file, heading.line, heading.title)))
    return tuple(totals)


def _own(document: Document, heading: int) -> list[Line]:
    return [line for line in document.lines if line.heading == heading]


def _sentences(document: Document, file: str, binder: Binder) -> Iterable[Sentence]:
    for line in document.lines:
        for text in sentences(line.text) if names_strong_word(line.text) else ():
            yield Sentence(binder.of(text, line.heading), text, Place(file, line.number, text))
