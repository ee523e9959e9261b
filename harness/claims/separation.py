"""Which of the statements about one set are about one thing? Models, runs, tasks and tables are kept apart."""

from __future__ import annotations

from dataclasses import replace

from harness.claims.merging import Found, repeats
from harness.claims.records import (
    Accuracy,
    Averages,
    ClassCounts,
    Directions,
    Errors,
    FalseCounts,
    Matrix,
    Outcomes,
    PerClass,
    Rows,
    Score,
    Sides,
    Size,
    Supports,
    Unread,
    names_of,
)
from harness.claims.subjects import SEVERAL, STATE

RESULTS = (
    *(Accuracy, Averages, ClassCounts, Directions, Errors, FalseCounts, Matrix, Rows),
    *(Outcomes, Score, Sides),
)
_ANSWERS = (Outcomes, Score, Sides)
_BOTH = (Accuracy, Errors, Size)  # of a set, whether its table has two answers or a class a row
_MOST_COMPARED = 200  # statements of one kind; no report has more


def of_one_dataset(found: list[Found]) -> list[Found]:
    """ "The dataset" with two sizes is two datasets, or one before and after cleaning: neither is used."""
    kept = list(found)
    for kind in (Size, PerClass):
        if len({entry.content for entry in kept if entry.set == "dataset" and isinstance(entry.content, kind)}) > 1:
            kept = [
                replace(entry, set=None) if entry.set == "dataset" and isinstance(entry.content, kind) else entry
                for entry in kept
            ]
    return kept


def of_nothing_else(found: list[Found]) -> list[Found]:
    """A result whose sentence has other words than those of a result may be of a part of the set ("blurred images"): it
    is used only where it, or another of its line, repeats one that is plainly of the set."""
    plain = [entry for entry in found if entry.set and not entry.qualified and isinstance(entry.content, RESULTS)]
    repeated = {
        (entry.set, entry.places)
        for entry in found
        for one in plain
        if entry.qualified and one.set == entry.set
        if repeats(entry.content, one.content) or repeats(one.content, entry.content)
    }
    return [
        replace(entry, set=None) if entry.qualified and (entry.set, entry.places) not in repeated else entry
        for entry in found
    ]


def of_one_subject(found: list[Found]) -> list[Found]:
    """Where results of one set are told apart by model, reader or site and differ, each has a set of its own."""
    out = list(found)
    for name in {entry.set for entry in found if entry.set is not None}:
        results = [
            entry
            for entry in found
            if entry.set == name and entry.subject and (entry.from_table or isinstance(entry.content, RESULTS))
        ]
        sizes = [e for e in found if e.set == name and e.subject and isinstance(e.content, Size) and not e.from_table]
        if len({e.content for e in sizes}) > 1 and len({e.content for e in sizes}) == len({e.subject for e in sizes}):
            results += sizes  # each on a set of its own
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


def _differ(results: list[Found]) -> bool:
    by_kind: dict[tuple[type, tuple[str, ...]], list[Found]] = {}
    for entry in results:
        by_kind.setdefault((type(entry.content), names_of(entry.content)), []).append(entry)
    counted = {
        e.subject for e in results if isinstance(e.content, Accuracy | Errors) and (e.subject or "").startswith(STATE)
    }
    if len(counted) > 1:
        return True  # an accuracy of one version and the errors of another say it without a word in common
    return any(
        a.subject != b.subject and not repeats(a.content, b.content) and not repeats(b.content, a.content)
        for entries in by_kind.values()
        for i, a in enumerate(entries[:_MOST_COMPARED])
        for b in entries[:i]
    )


def of_one_family(found: list[Found], families: list[tuple[str, ...]]) -> list[Found]:
    """Tables of other classes than the rest of their set have a question of their own: what they share is not said."""
    named: dict[tuple[str | None, int | None], set[str]] = {}
    for entry in found:
        named.setdefault((entry.set, entry.table), set()).update(names_of(entry.content))
    out = []
    for entry in found:
        own = named[entry.set, entry.table]
        main = _main_family(entry.set, named, families)
        if entry.set and own and not own <= main and (entry.from_table or names_of(entry.content)):
            shown = ", ".join(sorted(own)[:3]) + (", …" if len(own) > 3 else "")
            entry = replace(entry, set=f"{entry.set}, classes {shown}" if entry.from_table else None)
        out.append(entry)
    return out


def _main_family(
    of: str | None, named: dict[tuple[str | None, int | None], set[str]], families: list[tuple[str, ...]]
) -> set[str]:
    """The classes that most of a set's tables are about; all of them where one table names them all."""
    tables = [names for (name, table), names in named.items() if name == of and table is not None and names]
    largest = max(tables, key=len, default=set())
    if all(names <= largest for names in tables):
        return largest or (set(families[0]) if families else set())
    return set(families[0]) if families else set()


def of_one_section(found: list[Found]) -> list[Found]:
    """Two results for one set from two sections, of which no table speaks, may be of two models: neither is used."""
    out = list(found)
    for kind in (Accuracy, Errors):
        by_set: dict[str, list[int]] = {}
        for index, entry in enumerate(found):
            if entry.set is not None and isinstance(entry.content, kind) and not entry.from_table:
                by_set.setdefault(entry.set, []).append(index)
        for indexes in by_set.values():
            apart = [
                (a, b)
                for n, a in enumerate(indexes[:_MOST_COMPARED])
                for b in indexes[:n]
                if _stand_apart(found[a], found[b])
                and not repeats(found[a].content, found[b].content)
                and not repeats(found[b].content, found[a].content)
            ]
            for index in {index for pair in apart for index in pair}:
                out[index] = replace(out[index], set=None)
    return out


def _stand_apart(one: Found, other: Found) -> bool:
    return one.section != other.section or one.after != other.after


def of_two_answers(found: list[Found]) -> list[Found]:
    """TP, FP and the scores beside them are a question of their own; what is said of the whole set holds there, too."""
    names = {entry.set for entry in found if entry.set is not None and isinstance(entry.content, Outcomes | Sides)}
    with_classes = {entry.set for entry in found if isinstance(entry.content, Rows | Matrix | Averages)}
    out = []
    for entry in found:
        apart = entry.set in names and entry.set in with_classes
        if apart and isinstance(entry.content, _ANSWERS):
            entry = replace(entry, set=f"{entry.set}, two answers")
        out.append(entry)
        if apart and isinstance(entry.content, _BOTH):
            out.append(replace(entry, set=f"{entry.set}, two answers"))
    return out


def of_open_classes(found: list[Found], *, some: dict[str, bool]) -> tuple[list[Found], frozenset[str], list[Unread]]:
    """The questions whose classes may not be all there are, and the sizes that this leaves unchecked.

    A table that says so (a micro average, entities) has no accuracy; any other is closed by one, or by a matrix. Where
    it counts fewer than the set has, it may leave a class out; where more, an image may show several objects.
    """
    closed = {
        entry.set
        for entry in found
        if isinstance(entry.content, Accuracy | Errors | Matrix | Directions) and not some.get(entry.set or "", False)
    }
    names = {entry.set for entry in found if isinstance(entry.content, Rows | Supports | Averages)}
    open_sets = frozenset(
        name for name in names - closed if name is not None and any(_is_part(name, of) for of in some)
    )
    counted = {
        entry.set: sum(n for _, n in entry.content.counts)
        for entry in found
        if isinstance(entry.content, Supports) and entry.from_table and entry.set in open_sets
        if not any(is_some and _is_part(entry.set, of) for of, is_some in some.items())
    }
    out, unread = [], []
    for entry in found:
        loose = entry.set in open_sets and not entry.from_table and isinstance(entry.content, (*_BOTH, PerClass))
        if loose and isinstance(entry.content, Size) and entry.set in counted:
            n, counts, line = entry.content.n, counted[entry.set], min(place.line for place in entry.places)
            loose = n != counts
            if loose:
                may_be = "whether it has all classes" if n > counts else "whether an image counts once"
                unread.append(
                    Unread(f"line {line}: {n:,} images, and {counts:,} in the table: {may_be} is not said", line)
                )
        out.append(replace(entry, set=None) if loose else entry)
    return out, open_sets, unread


def _is_part(name: str, of: str) -> bool:
    """A question that was parted from another by its model or classes keeps its name in front."""
    return name == of or name.startswith(f"{of}, ")
