"""Does a file name its classes itself, beside its weights? Training programs, hubs and converters often write them.

What they write is held to the protocol, so that no class is read as another; whatever is called otherwise says nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# What such a list or table is called in checkpoints, in the metadata of files, and in the settings beside weights.
CALLED = (
    *(
        "classes",
        "class_names",
        "classnames",
        "class_list",
        "cls_names",
        "labels",
        "label_names",
        "names",
        "categories",
    ),
    *("class_to_idx", "class_to_index", "class2idx", "idx_to_class", "index_to_class", "idx2class", "class_mapping"),
    *("id2label", "label2id", "idx2label", "label2idx", "label_to_idx", "idx_to_label", "label_map", "label_mapping"),
    *("vocab", "target_names", "class_labels", "dataset_classes"),
)
DEEPEST = 3  # tables below each other; mmpretrain has its classes below meta and dataset_meta
LONGEST_TEXT = 2**16

Names = tuple[str, ...]


def lists_in(found: Mapping[Any, Any]) -> tuple[Names, ...]:
    """Every list of class names in what lies beside weights, each in the order of the outputs."""
    return tuple(_lists(_tables(found, DEEPEST)))


def classes_told(lists: Iterable[Sequence[str]], classes: Sequence[str]) -> Names | None:
    """The order that the lists tell, in the words of the protocol; None where none of them is of these classes.

    Args:
        classes: those of the protocol. A list that differs from them comes before one that does not.
    """
    spelt = {each.casefold(): each for each in classes}
    read = [tuple(spelt.get(name.strip().casefold(), name) for name in each) for each in lists]
    own = [each for each in read if len(each) == len(classes) and set(each) & set(classes)]
    return next((each for each in own if each != tuple(classes)), own[0] if own else None)


def _tables(found: Mapping[Any, Any], deep: int) -> Iterator[Mapping[Any, Any]]:
    """It and the tables below it, whatever they are called; what an optimiser keeps says nothing of classes."""
    yield found
    for key, value in found.items():
        if deep > 1 and isinstance(value, Mapping) and not str(key).casefold().startswith("opt"):
            yield from _tables(value, deep - 1)


def _lists(tables: Iterable[Mapping[Any, Any]]) -> Iterator[Names]:
    for table in tables:
        for key, value in table.items():
            if (
                isinstance(key, str)
                and re.sub(r"[-. ]", "_", key.casefold()) in CALLED
                and (names := _names_in(value)) is not None
            ):
                yield names


def _names_in(value: object) -> Names | None:
    """The names in a list, a table from name to place, or one from place to name; in Python, JSON, or with commas."""
    if isinstance(value, str):
        return _names_in(_read(value))
    if isinstance(value, Mapping):
        pairs = list(value.items())
        if all(_is_place(place) and not _is_place(key) for key, place in pairs):
            pairs = [(place, key) for key, place in pairs]
        places = {int(key): name for key, name in pairs if _is_place(key)}
        if len(places) != len(pairs) or sorted(places) != list(range(len(pairs))):
            return None
        value = [places[n] for n in range(len(pairs))]
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(each, str) for each in value):
        return None
    return tuple(value)


def _is_place(value: object) -> bool:
    return type(value) is int or (isinstance(value, str) and value.isdecimal())


def _read(text: str) -> object:
    if len(text) > LONGEST_TEXT:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [each.strip() for each in text.replace("\n", ",").split(",") if each.strip()]
