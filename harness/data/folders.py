"""An image folder as it lies there: class folders, part folders above them, and what an operating system left behind.

Nothing is opened here but the first bytes of a file whose name says that it is litter, and nothing is hidden: whatever
is not an image of a class is listed by name, or is an error. Links, pipes and devices are refused.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import DataError
from harness.data.decoding import format_of, open_regular
from harness.data.suggestions import close_class, labels_table, not_a_class, toml_key, toml_table
from harness.data.tables import MOST_STEPS
from harness.protocol.names import PART_ALIASES, PARTS, UNUSED, part_called

Listing = Callable[[Path], Iterable[os.DirEntry[str]]]

# Left behind by Finder, Explorer, KDE, notebooks, archive tools and network disks; compared with case ignored.
LITTER_FILES = (".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", ".localized", "icon\r")
LITTER_FOLDERS = (
    *("__macosx", ".ipynb_checkpoints", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd"),
    *("@eadir", "$recycle.bin", "system volume information", "__pycache__"),
)
APPLE_DOUBLE = "._"  # beside a file of that name: what a Mac could not store in the file itself
MOST_WRAPPERS = 4  # folders that hold one folder alone, as archives unpack to
HEAD_BYTES = 256  # more than any signature of `decoding` reaches


@dataclass(frozen=True, slots=True)
class Placed:
    """One file below the class folders: the class, and the part that the folder above stands for."""

    label: str
    part: str | None = None


@dataclass(slots=True)
class Walk:
    """Lists folders below one root, and keeps what it passed by: `litter` is not read, and named."""

    root: Path
    listing: Listing
    litter: list[str] = field(default_factory=list)

    def entries(self, folder: str = "", *, refuse_special: bool = True) -> list[tuple[os.DirEntry[str], bool]]:
        """The entries of a folder that are not litter, sorted by name, and of each whether it is a folder.

        Args:
            refuse_special: whether a link, pipe or device among them is an error.
        """
        try:
            listed = sorted(self.listing(self.root / folder if folder else self.root), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"{self.root}: the folder {folder!r} cannot be listed ({error.strerror}). Make it readable."
            ) from None
        kept = []
        for entry in listed:
            is_folder = self.is_folder(entry) if refuse_special else entry.is_dir(follow_symlinks=False)
            if is_litter(entry, is_folder=is_folder):
                self.litter.append(f"{folder}/{entry.name}".removeprefix("/") + ("/" if is_folder else ""))
            else:
                kept.append((entry, is_folder))
        return kept

    def files(self, folder: str) -> Iterator[str]:
        """Relative path of every file below `folder`."""
        if folder.count("/") + 2 > MOST_STEPS:
            raise DataError(
                f"{self.root}: folders are nested more than {MOST_STEPS - 1} deep, the first is {folder!r}. Move it "
                "out."
            )
        for entry, is_folder in self.entries(folder):
            if "\\" in entry.name:
                # No manifest or split file could name it: a backslash separates folders on Windows.
                raise DataError(f"{self.root}: the name {entry.name!r} in {folder!r} has a backslash. Rename it.")
            path = f"{folder}/{entry.name}"
            if is_folder:
                yield from self.files(path)
            else:
                yield path

    def is_folder(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_symlink():
            raise linked(Path(entry.path), self.root)
        if entry.is_dir(follow_symlinks=False):
            return True
        if entry.is_file(follow_symlinks=False):
            return False
        raise DataError(f"{entry.path!r} is neither a file nor a folder (a pipe, socket or device). Move it out.")


def linked(path: Path, root: Path) -> DataError:
    """The refusal of a link, with the command that makes copies of what the links lead to."""
    copy = root.with_name(f"{root.name}-copied")
    return DataError(
        f"{str(path)!r} is a symbolic link, and links are not followed: what they lead to may change without a trace. "
        f"Copy what they lead to, as from a cache of data sets, and name the copy: "
        f"cp -RL {shlex.quote(str(root))} {shlex.quote(str(copy))}"
    )


def called_as_its_part(root: Path, folder: str, inside: Sequence[str], classes: Sequence[str]) -> DataError:
    """The refusal of a part folder that is called as one of the classes in it, with a name that would do."""
    part, taken = part_called(folder, None), {name.casefold() for name in (folder, *classes)}
    other = next((alias for alias, of in PART_ALIASES.items() if of == part and alias not in taken), None)
    name = f"to {other!r}" if other is not None else "and say in [dataset.parts] which part it is"
    return DataError(
        f"{root}: the folder {folder!r} holds class folders ({', '.join(inside[:5])}), as that of a part does, and "
        f"{folder!r} is a class, too: a run cannot tell which is meant. Rename the folder of the part, {name}; the "
        "class folders in it may stay."
    )


def is_litter(entry: os.DirEntry[str], *, is_folder: bool) -> bool:
    """Whether a file or folder was left behind by a program that lists folders, and holds nothing of the set."""
    name = entry.name.casefold()
    if is_folder:
        return name in LITTER_FOLDERS
    if not entry.is_file(follow_symlinks=False):
        return False
    if name in LITTER_FILES:
        return True
    if not entry.name.startswith(APPLE_DOUBLE):
        return False
    with open_regular(Path(entry.path)) as file:  # a real image may have such a name
        return format_of(file.read(HEAD_BYTES)) is None


def list_folder(
    walk: Walk,
    *,
    classes: Sequence[str],
    labels: Mapping[str, str],
    parts: Mapping[str, str] | None,
    set_name: str,
) -> tuple[dict[str, Placed], tuple[str, ...], dict[str, str]]:
    """The images of a folder of class folders, with part folders above or below them where the set is divided so.

    Args:
        labels: folder name -> class, beside the names of the classes themselves.
        parts: folder name -> part, beside the usual names of parts; None where a set is not to be divided.
    Returns:
        Path -> class and part of every file in a class folder; files and folders that are not read; and part folder ->
        part.
    Raises:
        DataError: a folder that is neither, or images beside part folders; the message has the table of the protocol
            that would say what it is.
    """
    reader = _Reader(walk, tuple(classes), labels, parts, set_name)
    top = walk.entries()
    folders = [entry.name for entry, is_folder in top if is_folder]
    ignored = [entry.name for entry, is_folder in top if not is_folder]
    known = [name for name in folders if reader.class_of(name) is not None]
    reader.refuse_a_class_called_as_its_part(known)
    divided = {name: part for name in folders if (part := reader.part_of(name)) is not None}
    if known or not divided:
        images, below = reader.divided_below(reader.images_in("", folders, None))
        ignored += [f"{each}/" for each in below.unread]
        return images, tuple(sorted(ignored)), below.parts
    images = {}
    reader.refuse_unknown_parts([name for name in folders if name not in divided], divided)
    for folder, part in divided.items():
        if part == UNUSED:
            ignored.append(f"{folder}/")
            continue
        inside = walk.entries(folder)
        ignored += [f"{folder}/{entry.name}" for entry, is_folder in inside if not is_folder]
        images |= reader.images_in(folder, [entry.name for entry, is_folder in inside if is_folder], part)
    reader.refuse_strangers()
    return images, tuple(sorted(ignored)), divided


@dataclass(frozen=True, slots=True)
class _Below:
    """Part folders in the class folders: name -> part; and the places that the protocol declares unused."""

    parts: dict[str, str]
    unread: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reader:
    walk: Walk
    classes: tuple[str, ...]
    labels: Mapping[str, str]
    parts: Mapping[str, str] | None
    set_name: str
    strangers: list[tuple[str, str]] = field(default_factory=list)

    def class_of(self, folder: str) -> str | None:
        return self.labels.get(folder) or (folder if folder in self.classes else None)

    def part_of(self, folder: str) -> str | None:
        return part_called(folder, self.parts)

    def images_in(self, above: str, folders: Sequence[str], part: str | None) -> dict[str, Placed]:
        images: dict[str, Placed] = {}
        for name in folders:
            label, place = self.class_of(name), f"{above}/{name}".removeprefix("/")
            if label is None:
                self.strangers.append((above, name))
            else:
                images |= {path: Placed(label, part) for path in self.walk.files(place)}
        if not above:
            if not images:
                self.refuse_a_level_too_high([name for _, name in self.strangers])
            self.refuse_strangers()
        return images

    def refuse_a_class_called_as_its_part(self, known: Sequence[str]) -> None:
        """known: the folders that are called as classes; one that holds classes is a part folder of the same name."""
        for name in known if self.parts is not None else ():
            if self.part_of(name) is None:
                continue
            inside = [entry.name for entry, is_folder in self.walk.entries(name) if is_folder]
            if any(self.class_of(step) is not None and self.part_of(step) is None for step in inside):
                raise called_as_its_part(self.walk.root, name, inside, self.classes)

    def divided_below(self, images: dict[str, Placed]) -> tuple[dict[str, Placed], _Below]:
        """The same images with the parts of the folders that the class folders are divided into, if they are.

        Raises:
            DataError: some images lie in part folders and others do not, or a class is called as a part is.
        """
        inside = {path: path.split("/")[1] for path in images if path.count("/") > 1}
        parts = {step: part for step in sorted({*inside.values()}) if (part := self.part_of(step)) is not None}
        if not parts or self.parts is None:
            return images, _Below({})
        odd = [path for path in images if inside.get(path) not in parts]
        odd += [path for path in images if path.split("/")[0] in parts]
        if odd:
            folders = sorted({step for path in odd if (step := inside.get(path)) is not None} - parts.keys())
            lines = [f'{toml_key(name)} = ""  # {", ".join(PARTS)} or {UNUSED}' for name in folders]
            raise DataError(
                f"{self.walk.root}: the class folders hold part folders ({', '.join(parts)}), and {len(odd)} images "
                f"lie in none of them, first {odd[0]!r}. Move them into one; if those folders are not parts, rename "
                "them; or name a table of the images, and the split with --split."
                + (f" Or say in the protocol:\n{toml_table(self.set_name, 'parts', lines)}" if lines else "")
            )
        read = {path: Placed(each.label, parts[inside[path]]) for path, each in images.items()}
        unread = sorted({"/".join(path.split("/")[:2]) for path, each in read.items() if each.part == UNUSED})
        return {path: each for path, each in read.items() if each.part != UNUSED}, _Below(parts, tuple(unread))

    def refuse_strangers(self) -> None:
        if not self.strangers:
            return
        names = [name for _, name in self.strangers]
        shown = "; ".join(
            not_a_class(name, self.classes) + (f" in {above!r}" if above else "") for above, name in self.strangers[:5]
        )
        raise DataError(
            f"{self.walk.root} has {len(names)} sub-folder(s) that are not classes: {shown}. The classes are "
            f"{', '.join(self.classes)}. Rename a folder to exactly its class, move it out, or say in the protocol "
            f"what each stands for (check every line):\n{labels_table(self.set_name, names, self.classes)}"
        )

    def refuse_a_level_too_high(self, strangers: Sequence[str]) -> None:
        """Where the class folders lie one level further down, the error names the place."""
        holders = {name: inside for name in strangers if (inside := self._looked_into(name))}
        if not holders and len(strangers) == 1 and (place := self._further_down(strangers[0])) is not None:
            holders = {place: self._looked_into(place)}
        divided = [name for name, inside in holders.items() if any(map(self.part_of, inside))]
        if len(holders) == 1:
            (name,) = holders
            what = "part folders" if divided else "class folders"
            raise DataError(
                f"{self.walk.root} holds no class folder; the {what} ({', '.join(holders[name][:5])}) lie further "
                f"down, in {name!r}. Name that folder: {shlex.quote(str(self.walk.root / name))}"
            )
        if len(holders) > 1:
            self.refuse_unknown_parts(list(holders), {})

    def _further_down(self, folder: str) -> str | None:
        """The first folder below, each alone in the one above it, that holds classes or parts."""
        for _ in range(MOST_WRAPPERS):
            inside = [entry.name for entry, is_folder in self.walk.entries(folder) if is_folder]
            if len(inside) != 1:
                return None
            folder = f"{folder}/{inside[0]}"
            if self._looked_into(folder):
                return folder
        return None

    def _looked_into(self, folder: str) -> list[str]:
        """The folders in it that are classes or parts, or look like one."""
        names = [entry.name for entry, is_folder in self.walk.entries(folder) if is_folder]
        return [n for n in names if self.class_of(n) or self.part_of(n) or close_class(n, self.classes)]

    def refuse_unknown_parts(self, unknown: Sequence[str], known: Mapping[str, str]) -> None:
        """Part folders that nothing is said of; of a set that is not divided, all of them."""
        if self.parts is None and (known or unknown):
            first = next(iter([*known, *unknown]))
            raise DataError(
                f"{self.walk.root}: the class folders lie two levels down, below {', '.join([*known, *unknown][:5])}, "
                f"and set {self.set_name!r} is scored whole, not divided. Name one of these folders: "
                f"{shlex.quote(str(self.walk.root / first))}"
            )
        if unknown:
            beside = f" beside {', '.join(known)}" if known else ""
            lines = [f'{toml_key(name)} = ""  # {", ".join(PARTS)} or {UNUSED}' for name in unknown]
            raise DataError(
                f"{self.walk.root}: the class folders lie two levels down, and nothing says which part of the split is "
                f"in {', '.join(map(repr, unknown[:5]))}{beside}. Say so in the protocol:\n"
                f"{toml_table(self.set_name, 'parts', lines)}"
            )
