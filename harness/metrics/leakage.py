"""What do duplicates, headers and provenance say against this run?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.data.leakage import DuplicatePair, ListedImage, across_parts, across_sets, label_conflicts
from harness.data.records import Split
from harness.metrics.copies import DATASET, copies_within
from harness.metrics.counts import counted
from harness.metrics.estimates import Unavailable
from harness.metrics.measurements import Count, Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.provenance import TOLERATED_SHARE
from harness.metrics.provenance_records import Provenance
from harness.metrics.shortcuts import ShortcutReport
from harness.protocol.names import PARTS
from harness.protocol.needs import SPLIT

COVERED = (
    "one picture, and its copies: turned by any angle, mirrored, rescaled, stretched, shifted, padded or cropped by up "
    "to a seventh of a side, relit, blurred, noisy, partly covered, saved anew. How many of each are found: "
    "docs/duplicates.md. Images too smooth or too small to be compared are not counted as checked"
)
# Metric -> whether it is of the dataset's parts alone, or of the sets beside it as well.
WITHIN, ACROSS = ("duplicates_across_parts", "label_conflicts"), ("duplicates_across_sets", "repeated_pictures")
SEARCHES = (*WITHIN, *ACROSS)
FORMERLY = (*WITHIN, "duplicates_across_sets")  # counted without what could not be compared, before `Rules.searched`
STATE_IT = (
    "Where a copy there can only be the same pixels again, say so and why: dataset.pixels_suffice in the protocol"
)


@dataclass(frozen=True, slots=True)
class Compared:
    """What could be compared in each part of the dataset and each set beside it.

    n:           part or set -> its images.
    by_pixels:   part or set -> those too small or too smooth to be compared but by their pixels; none is left out.
    suffices:    why equal pixels are enough, by the protocol; None where it does not say so.
    """

    n: Mapping[str, int]
    by_pixels: Mapping[str, int]
    suffices: str | None

    def lacking(self, names: Collection[str]) -> list[str]:
        """Those of these parts and sets of which more than a stray few images cannot be compared."""
        return [name for name in names if self.by_pixels[name] > TOLERATED_SHARE * self.n[name]]

    def told(self, names: Sequence[str]) -> str:
        counts = ", ".join(f"{self.by_pixels[name]:,} of {self.n[name]:,} images of {name}" for name in names)
        return f"{counts} are too small or too smooth to be compared but by their pixels"

    @property
    def beside(self) -> list[str]:
        return [name for name in self.n if name not in PARTS]


def compared_in(
    uncompared: Sequence[ListedImage], split: Split, beside: Mapping[str, int], *, suffices: str | None
) -> Compared:
    """
    Args:
        uncompared: images of any set that can be compared by their pixels alone.
        beside: external set -> its images.
        suffices: `dataset.pixels_suffice` of the protocol.
    """
    part_of = {image.path: part for part in PARTS for image in split.part(part)}
    n = {part: len(split.part(part)) for part in PARTS} | dict(beside)
    places = (part_of.get(image.path) if image.set == DATASET else image.set for image in uncompared)
    by_pixels = Counter(place for place in places if place in n)
    return Compared(n, {name: by_pixels[name] for name in n}, suffices)


def leakage(
    duplicates: Sequence[DuplicatePair], shortcuts: ShortcutReport, split: Split
) -> Mapping[str, tuple[str, ...]]:
    """Leakage metric -> what is wrong, one line each.

    Two labels on one picture count where one of the two images is in the dataset; a conflict within an external set is
    told with its other pairs.
    """
    part_of = {image.path: part for part in PARTS for image in split.part(part)}
    own = [pair for pair in duplicates if DATASET in (pair.first.set, pair.second.set)]
    return {
        "duplicates_across_parts": tuple(map(str, across_parts(duplicates, split, set_name=DATASET))),
        "duplicates_across_sets": tuple(map(str, across_sets(duplicates))),
        "repeated_pictures": copies_within(duplicates, part_of),
        "label_conflicts": tuple(map(str, label_conflicts(own))),
        "class_linked_headers": tuple(
            f"{finding} Images: {', '.join(finding.paths)}" for finding in shortcuts.findings
        ),
    }


def n_looked_at(metric: str, n_images: int, uncompared: Sequence[ListedImage], *, searched: bool = True) -> int:
    """How many images of the dataset a leakage metric speaks of: of a search, those that can be compared.

    searched: by which rule (`judge.rules.Rules`).
    """
    searches = SEARCHES if searched else FORMERLY
    return n_images - (sum(image.set == DATASET for image in uncompared) if metric in searches else 0)


def count_of(metric: str, found: Sequence[str], n: int, uncompared: Sequence[ListedImage], compared: Compared) -> Count:
    """The count of a leakage metric: of a search with what it could not compare, and what that leaves open.

    n: images of the dataset that it speaks of.
    """
    if metric not in SEARCHES:
        return Count(tuple(found), n)
    n_more = sum(image.set == DATASET for image in uncompared)
    enough = ", which is enough by the protocol" if compared.suffices is not None else ""
    note = f"and {n_more:,} compared by their pixels alone{enough}" if n_more else ""
    return Count(tuple(found), n, note, _doubt(metric, compared))


def _doubt(metric: str, compared: Compared) -> str | None:
    """Why "no copies" of a search proves little: in some part or set it could compare too few of the pictures."""
    asked = compared.n if metric in ACROSS else PARTS
    lacking = compared.lacking(asked)
    if not lacking or compared.suffices is not None:
        return None
    return f"{compared.told(lacking)}: a copy that was turned, rescaled or saved anew goes unseen. {STATE_IT}"


def incomparable_sets(compared: Compared) -> Mapping[str, str]:
    """External set -> why its independence is not shown: its pictures cannot be laid beside the dataset's.

    That equal pixels suffice is believed where both are of such pictures: small copies of large ones have other pixels.
    """
    home, sets = compared.lacking(PARTS), compared.lacking(compared.beside)
    if home and compared.suffices is not None:
        found = {name: home for name in compared.beside if name not in sets}
    elif home:
        found = dict.fromkeys(compared.beside, home)
    else:
        found = {name: [name] for name in sets}
    return {
        name: f"{compared.told(lacking)}: whether it shows pictures of the dataset is not known"
        for name, lacking in found.items()
    }


def dependent_sets(
    duplicates: Sequence[DuplicatePair],
    provenance: Mapping[str, Provenance],
    units: Mapping[str, Collection[str]],
    compared: Compared | None = None,
) -> Mapping[str, str]:
    """External set -> what speaks against its independence of the dataset.

    units: set, the dataset among them -> `CellImage.unit` of its images. A patient whom both name may be one person, or
           one number given twice; as long as nobody says which, independence is not shown.
    compared: what could be compared; None where an older judge did not ask.
    """
    found = dict(incomparable_sets(compared)) if compared is not None else {}
    found |= {name: each.reason for name, each in provenance.items() if not each.may_count_as_external}
    for pair in across_sets(duplicates):
        sets = {pair.first.set, pair.second.set}
        if DATASET in sets:
            found[(sets - {DATASET}).pop()] = f"it shares pictures with the dataset, first {pair}"
    known = {unit for unit in units.get(DATASET, ()) if not unit.startswith("content:")}
    for name in units:
        if name != DATASET and (shared := sorted(known.intersection(units[name]))):
            found[name] = (
                f"it names {len(shared)} of the dataset's patients or slides, first {shared[0]!r}: the same, or the "
                "same numbering. Where they are others, put the laboratory's name before each id"
            )
    return found


def made_of_the_dataset(pairs: Sequence[DuplicatePair], name: str, n_images: int) -> str | None:
    """Why an external set is none: more of its images than a stray few show pictures of the dataset."""
    shared = _shared_with_the_dataset(pairs, name)
    n_copies = n_copies_in(pairs, name)
    if n_copies <= TOLERATED_SHARE * n_images:
        return None
    return f"{n_copies} of its {n_images} images show pictures of the dataset, first {shared[0]}"


def n_copies_in(pairs: Sequence[DuplicatePair], name: str) -> int:
    """How many images of an external set show pictures of the dataset."""
    shared = _shared_with_the_dataset(pairs, name)
    return len({image.path for pair in shared for image in (pair.first, pair.second) if image.set == name})


def _doubt_of(metric: str) -> Callable[[Measurements, Subject], str | None]:
    def doubt(measurements: Measurements, subject: Subject) -> str | None:
        found = measurements.count("leakage", metric)
        return None if isinstance(found, Unavailable) else found.doubt

    return doubt


def _search(name: str, meaning: str, *, needs: frozenset[str] = frozenset()) -> Metric:
    return counted(name, "leakage", meaning, needs=needs, covers=COVERED, doubted_by=_doubt_of(name))


def _shared_with_the_dataset(pairs: Sequence[DuplicatePair], name: str) -> list[DuplicatePair]:
    return [pair for pair in across_sets(pairs) if {pair.first.set, pair.second.set} == {DATASET, name}]


METRICS = (
    _search("duplicates_across_parts", "Pictures that are in two parts of the split.", needs=frozenset({SPLIT})),
    _search("label_conflicts", "Pictures of the dataset that carry two labels."),
    _search("duplicates_across_sets", "Pictures that are both in the dataset and in an external set."),
    _search("repeated_pictures", "Pictures that several cells of one part or set show: each counts once."),
    counted("class_linked_headers", "leakage", "File properties from which the class can be guessed unseen."),
)
