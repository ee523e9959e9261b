"""What does a document state, about which set, and where? From lines and tables to bound, merged statements."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from harness.claims.binding import Tables, bind_tables
from harness.claims.cells import TableReading, alone, class_key
from harness.claims.class_lists import with_listed_tables
from harness.claims.document import Document, Line, Table
from harness.claims.fractions_said import fractions_said, once
from harness.claims.held import read_held
from harness.claims.impossible import no_share
from harness.claims.intervals import outside_intervals
from harness.claims.left_out import left_out
from harness.claims.listed import of_one_list
from harness.claims.means_said import means_said
from harness.claims.merging import Found, merged
from harness.claims.phrases import with_points, writes_commas
from harness.claims.pins import read_pins
from harness.claims.prose import read_line, sentences
from harness.claims.records import (
    Accuracy,
    Averages,
    FileReference,
    Mean,
    Outcomes,
    PerClass,
    Pin,
    Place,
    Problem,
    ReportClaims,
    Score,
    Sentence,
    Sides,
    Size,
    Statement,
    Unread,
    Worked,
)
from harness.claims.scores import read_scores
from harness.claims.separation import (
    RESULTS,
    of_nothing_else,
    of_one_dataset,
    of_one_family,
    of_one_section,
    of_one_subject,
    of_open_classes,
    of_two_answers,
)
from harness.claims.set_tables import is_set_table, set_names
from harness.claims.sets import Binder, several_of_a_kind
from harness.claims.splits import split_of
from harness.claims.spoken import joined, read_spoken
from harness.claims.spreads import impossible_spreads
from harness.claims.subjects import Subjects
from harness.claims.tables import read_table
from harness.claims.totals import of_totals
from harness.claims.vocabulary import Saying, names_class
from harness.claims.words import names_strong_word

_USUAL = {"train", "validation", "test", "external", "dataset"}
_FILE = re.compile(r"`([^`\s]+\.(?:png|jpe?g|svg|pdf|gif|csv|pth|pkl|pt|onnx|safetensors|json))`", re.IGNORECASE)
_FIGURE = re.compile(r"\.(?:png|jpe?g|svg|gif|pdf)$", re.IGNORECASE)
_MOST_LINES = 2_000  # lines with a number; more are a log or data, not a report
_NUMBER = re.compile(
    r"\d|\b(?:nan|inf|infinity|both|one|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE
)
_UNIVERSAL = re.compile(r"\b(?:all|every|each|no|none|never|perfect(?:ly)?)\b", re.IGNORECASE)
_CLASS_WORDS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_N_CLASSES = re.compile(
    rf"(?<![\w.,/-])(\d{{1,2}}|{'|'.join(_CLASS_WORDS)})[\s-]+(?:\w+[\s-]+)?"
    r"(?:class(?:es)?|categories|(?:cell )?types)\b",
    re.IGNORECASE,
)
_GROWN = re.compile(r"\b(?:augment|over-?sampl|synthe|balanc)\w*", re.IGNORECASE)
_SIDES = re.compile(r"\bpositives?\s*[:=]\s*\d|\bnegatives?\s*[:=]\s*\d", re.IGNORECASE)
_AVERAGED = re.compile(
    r"cross[- ]?validat|\b\d+[- ]folds?\b|\bfolds\b|\baveraged? (?:over|across)\b|\bmeans? (?:over|across|of)\b|"
    r"\bover (?:\w+ )?(?:runs|seeds|repeats)\b|\bper[- ](?:image|patient|slide)\b",
    re.IGNORECASE,
)
_BOUNDS = re.compile(
    r"\b(?:confidence (?:interval|bound|limit)|(?:lower|upper|one-sided|\d+\s*%)[\s-]+(?:\w+\s+)?(?:bound|interval|CI)|"
    r"CI\s*[:=\[(]|wilson|clopper|konfidenzintervall|vertrauensbereich)",
    re.IGNORECASE,
)


def extract(document: Document, file: str) -> ReportClaims:
    """Everything that the document states in a form that has one reading."""
    document = with_listed_tables(document)
    families = _class_families(document, file)
    classes = tuple(name for family in families for name in family)
    apart = several_of_a_kind(document)
    words = replace(apart, names=(*(name for name in _set_names(document) if name not in _USUAL), *apart.names))
    subjects = Subjects(document)
    readings = [_of_one_count(document, table, read_table(table, file, classes)) for table in document.tables]
    with_table = frozenset(
        table.heading
        for table, reading in zip(document.tables, readings, strict=True)
        if reading.kind in ("classes", "matrix") and table.heading is not None
    )
    binder = Binder(document, words, with_table)
    tables = bind_tables(document, readings, binder, words, subjects)
    found: list[Found] = []
    problems: list[Problem] = []
    said: list[Line] = []
    for number, (table, reading) in enumerate(zip(document.tables, readings, strict=True)):
        problems += reading.problems
        said += [Line(line, text, table.heading, -1 - number) for line, text in reading.said]
        bound = words.one(table.caption) or (
            binder.of_section(table.heading) if not words.named(table.caption) else None
        )
        if number in tables.results:
            bound = tables.results[number].name
        elif reading.kind == "means":
            bound = f"table in line {table.line}"
        subject = subjects.of_table(table)
        for read in reading.found:
            name = read.set if read.set is not None else bound
            found.append(Found(name, read.content, read.places, -1 - number, True, subject=subject, table=table.line))
    coverage: list[tuple[str, int, int, Place]] = []
    ratios: dict[str, tuple[int, list[Place]]] = {}
    compared = {entry for reading in readings if reading.kind == "compared" for entry in reading.said}
    stratified: list[Place] = []
    numbered = [line for line in document.lines if _may_state(line.text, classes)]
    numbered = sorted([*numbered, *said, *_titles_with_counts(document)], key=lambda line: line.number)
    unread = [Unread(message, 0, is_result=False) for message in document.unread]
    if len(numbered) > _MOST_LINES:
        last = numbered[_MOST_LINES - 1].number
        unread.append(Unread(f"of {len(numbered):,} lines with numbers those after line {last:,}", last))
    blocks = sorted([table.line for table in document.tables] + [number for number, _ in document.code])
    has_commas = writes_commas(line.text for line in document.lines)
    for line in numbered[:_MOST_LINES]:
        place = Place(file, line.number, line.text)
        text = with_points(line.text) if has_commas else line.text
        reading_of = read_line(text, classes=classes, one_set=words.one)
        accuracies = any(isinstance(saying.content, Accuracy) for saying in reading_of.sayings)
        scores = read_scores(text, one_set=words.one, has_accuracy=accuracies)
        scores = joined(scores, read_spoken(text, classes=classes, one_set=words.one))
        scores += read_held(text, classes=classes, one_set=words.one)
        scores += [Saying(each, None, sentence=part) for part in sentences(text) for each in fractions_said(part)]
        scores += [Saying(each, None, sentence=text) for each in means_said(text)]
        counts = any(isinstance(score.content, Outcomes) for score in scores)
        for saying in (*reading_of.sayings, *scores):
            bound = saying.set
            if bound is None or (bound == "dataset" and not saying.exact_set):
                bound = binder.of(line.text, line.heading) if not saying.exact_set else bound
            is_score = isinstance(saying.content, Averages | Outcomes | Score | Sides)
            subject = (subjects.named_by if is_score else subjects.of_line)(line, saying.sentence)
            with_result = isinstance(saying.content, Size) and not saying.exact_set  # "345 of 372 were right"
            if (isinstance(saying.content, RESULTS) or with_result) and bound != "dataset":
                bound = tables.name_for(line, bound)
            beside = bound is None and counts and isinstance(saying.content, Outcomes | Sides | Score)
            if isinstance(saying.content, Worked | Mean) or beside:
                bound = f"line {line.number}"  # counts and the scores right beside them need no set's name
            found.append(
                Found(
                    bound,
                    saying.content,
                    (place,),
                    line.block,
                    False,
                    subject=subject,
                    section=line.heading,
                    after=bisect_left(blocks, line.number),
                    qualified=saying.qualified,
                )
            )
        odd = no_share(text, around=_title_above(document, line))
        if odd is not None and odd.is_number:
            problems.append(Problem(odd.message, (place,)))
        elif odd is not None:
            unread.append(Unread(f"line {line.number}: {odd.message}", line.number))
        if odd is None:
            left = [*left_out(text, line.number, [each.content for each in (*reading_of.sayings, *scores)], classes)]
            if (line.number, line.text) in compared and not accuracies and not left:
                left = [Unread(f"line {line.number}: {line.text!r} is of no form that is read", line.number)]
            unread += left
        for why in (why for part in sentences(text) for why in (*impossible_spreads(part), *outside_intervals(part))):
            problems.append(Problem(why, (place,)))
        for split in filter(None, map(split_of, sentences(text))):
            problems += [Problem(message, (place,)) for message in split.problems]
            if not split.problems:
                sizes = ((name, n) for name, n in (("dataset", split.total), *split.parts))
                found += [Found(name, Size(n), (place,), line.block, False, section=line.heading) for name, n in sizes]
        problems += [Problem(f"{said_of}: more than there are", (place,)) for said_of in reading_of.problems]
        covered = reading_of.covers
        if covered and covered[0] < covered[1] and (of_line := binder.of(line.text, line.heading)):
            coverage.append((of_line, *covered, place))
        for name, percent in reading_of.ratios:
            ratios.setdefault(name, (percent, []))[1].append(place)
        if reading_of.stratified:
            stratified.append(place)
    found, totals_left = of_totals(found, list(tables.results.values()))
    unread += totals_left
    found = of_one_section(of_one_dataset(of_nothing_else(found)))
    found += _derived(found, ratios, stratified)
    found = of_two_answers(of_one_family(of_one_subject(found), families))
    found, open_sets, sizes_left = of_open_classes(found, some=_with_some_classes(tables, readings))
    unread += sizes_left
    found = once(of_one_list(found))
    statements, unbound = merged(found)
    return ReportClaims(
        name=file,
        classes=families[0] + _unnamed(document, families[0]) if families else (),
        statements=statements,
        problems=tuple(problems) + tuple(_split_problems(statements, _of_one_whole(document, ratios), len(classes))),
        unbound=unbound,
        pins=_pins(document, file),
        files=_files(document, file),
        file_totals=_file_totals(document, file),
        sentences=tuple(_sentences(document, file, binder)),
        coverage=tuple(coverage),
        unread=(*unread, *(each for reading in readings for each in reading.unread)),
        open_sets=open_sets,
        prints_bounds=any(
            _BOUNDS.search(text)
            for text in (*(line.text for line in document.lines), *(" | ".join(t.header) for t in document.tables))
        ),
    )


def _may_state(text: str, classes: tuple[str, ...]) -> bool:
    """Whether a line holds a number, or says of a class that all of it is right, or none."""
    if _NUMBER.search(text) or "stratif" in text.lower():
        return True
    return bool(_UNIVERSAL.search(text)) and names_class(text, classes)


def _of_one_count(document: Document, table: Table, reading: TableReading) -> TableReading:
    """A class table of means over folds, runs or images is left alone: a mean of F1s is no F1 of means."""
    title = document.headings[table.heading].title if table.heading is not None else ""
    if reading.kind == "classes" and _AVERAGED.search(f"{title} | {table.caption}"):
        return alone(table, "prints means over folds, runs or images, of which no one count has to print them")
    return reading


def _title_above(document: Document, line: Line) -> str:
    return document.headings[line.heading].title if line.heading is not None else ""


def _titles_with_counts(document: Document) -> list[Line]:
    """Headings that state counts: "Test set (positives: 24 images, negatives: 62 images)"."""
    return [
        Line(heading.line, heading.title, index, -1)
        for index, heading in enumerate(document.headings)
        if _SIDES.search(heading.title)
    ]


def _with_some_classes(tables: Tables, readings: Sequence[TableReading]) -> dict[str, bool]:
    """The questions whose class table does not say that its classes are all: True where it says that they are not."""
    return {
        each.name: readings[number].has_some
        for number, each in tables.results.items()
        if readings[number].kind == "classes" and readings[number].is_open
    }


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


# --- what follows from the split ------------------------------------------------------------------


def _derived(found: list[Found], ratios: dict[str, tuple[int, list[Place]]], stratified: list[Place]) -> list[Found]:
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
        derived.append(Found(name, PerClass(least, most), tuple(sorted(set(where))), 0, False, note))
    return derived


def _of_one_whole(
    document: Document, ratios: Mapping[str, tuple[int, list[Place]]]
) -> dict[str, tuple[int, list[Place]]]:
    """The ratios of parts that are images of the dataset as they were: a train part may have grown since."""
    grown = any(_GROWN.search(line.text) for line in document.lines)
    return {name: ratio for name, ratio in ratios.items() if not (grown and name == "train")}


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
        # Each class may round by less than an image, and the percent by half of one.
        slack = max(Fraction(max(1, n_classes)), Fraction(total, 200))
        if name in sizes and abs(Fraction(total * percent, 100) - _n(sizes[name])) >= slack:
            yield Problem(
                f"{percent} % of {total:,} is {float(Fraction(total * percent, 100)):g}, "
                f"not the {_n(sizes[name]):,} images printed for {name}",
                (*where, *sizes[name].places),
            )


def _n(statement: Statement) -> int:
    assert isinstance(statement.content, Size)
    return statement.content.n


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
