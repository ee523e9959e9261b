"""Do the predictions of a pack follow from the files that were judged? The files are read again, without the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.core.errors import EvidenceError, HarnessError
from harness.data.prediction_files import Answered, PredictionsTable, answers_for, parse_predictions
from harness.data.prediction_records import GivenPredictions, PredictionsFile
from harness.data.prediction_tables import WITHOUT_PYARROW
from harness.data.records import CellImage, Split
from harness.metrics.predictions import Predictions, widened
from harness.pack.files import EVIDENCE
from harness.pack.read import Pack
from harness.protocol.names import PARTS

# (file, field, what is wrong)
Found = tuple[str, str, str]


def check_given(
    pack: Pack,
    given: GivenPredictions,
    *,
    predictions: Mapping[str, Predictions],
    images: Mapping[str, Sequence[CellImage]],
    split: Split | None,
    classes: tuple[str, ...],
) -> tuple[list[Found], list[str]]:
    """What does not follow from the judged files, and what could not be read here, one sentence each.

    Args:
        predictions: name below predictions/, without suffix -> what the file has.
        images: "dataset" and the sets beside it -> the images that the pack lists of them.
    """
    found: list[Found] = []
    taken = [
        "who or what made these predictions: the files that were judged are in predictions/given/, and "
        "`pytest suites/ --predictions` judges them again"
    ]
    if not given.parts and (scored := sorted(set(PARTS) & predictions.keys())):
        found.append((EVIDENCE, "given > parts", f"no part is written, and {', '.join(scored)} was judged"))
    for set_name in dict.fromkeys(each.set for each in given.files):
        records = given.of(set_name)
        try:
            tables = [_read_again(pack, each, number, classes) for number, each in enumerate(records, start=1)]
            if not given.parts or set_name not in images:  # never matched, or of a set that was not scored
                found += _differing(_with_labels_of(records, tables), records)
                continue
            answers = answers_for(tables, images[set_name], set_name=set_name)
        except HarnessError as error:
            if WITHOUT_PYARROW in str(error):
                taken.append(f"that {records[0].kept_as} says this: pyarrow, which reads it, is not installed here")
            else:
                found.append((records[0].kept_as, "", str(error)))
            continue
        found += _differing(answers.files, records)
        found += _compared(answers, predictions, images[set_name])
        if set_name == "dataset" and split is not None:
            found += _parts_compared(answers, given, split)
    return found, taken


def _with_labels_of(records: Sequence[PredictionsFile], tables: Sequence[PredictionsTable]) -> list[PredictionsFile]:
    """What the files say, but for how many labels differ from the data's, which the pack does not list."""
    return [
        replace(table.record, n_other_labels=stated.n_other_labels)
        for stated, table in zip(records, tables, strict=True)
    ]


def _differing(made: Sequence[PredictionsFile], held: Sequence[PredictionsFile]) -> list[Found]:
    return [
        (EVIDENCE, f"given > files > {stated.file}", f"{stated} is written, the file says {own}")
        for own, stated in zip(made, held, strict=True)
        if own != stated
    ]


def _read_again(pack: Pack, record: PredictionsFile, number: int, classes: tuple[str, ...]) -> PredictionsTable:
    if pack.sums.get(record.kept_as) != record.sha256:
        held = pack.sums.get(record.kept_as, "no such file")
        raise EvidenceError(f"given > sha256: {record.sha256} is written, the sums list {held}")
    content = pack.read(record.kept_as)
    return parse_predictions(content, name=record.file, set_name=record.set, classes=classes, number=number)


def _compared(answers: Answered, predictions: Mapping[str, Predictions], images: Sequence[CellImage]) -> list[Found]:
    own = {image.path: image for image in images}
    found = []
    for name, each in predictions.items():
        if (each.set if each.set not in PARTS else "dataset") != answers.set:
            continue
        cells = [own[path] for path in each.paths if path in own]  # others are told of by the reader of the split
        if not answers.covers(cells) or not np.array_equal(
            widened(answers.probabilities(cells, of=each.set), each.classes),
            each.probabilities[[path in own for path in each.paths]],
        ):
            kept = ", ".join(file.kept_as for file in answers.files)
            found.append((f"predictions/{name}.csv", "probabilities", f"they are not those of {kept}"))
    return found


def _parts_compared(answers: Answered, given: GivenPredictions, split: Split) -> list[Found]:
    covered = tuple(part for part in PARTS if split.part(part) and answers.covers(split.part(part)))
    found = []
    if covered != given.parts:
        found.append((EVIDENCE, "given > parts", f"{list(given.parts)} is written, the files cover {list(covered)}"))
    if given.divided != (split.source != "undivided") or (given.knows_its_cells and split.source != "file"):
        found.append((EVIDENCE, "given > cells", f"{given.cells!r} is written, the split is {split.origin!r}"))
    return found
