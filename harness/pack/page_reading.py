"""Reads a report as a reader sees it: its text, its tables, and the elements that carry the path of their evidence.

A page may come from another version of the harness, or from somebody who edited it. What a page of the harness never
has (a script, a style of its own, a hidden element) is listed, not followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from harness.pack.page_markup import VOID, Piece, pieces_of
from harness.report.places import SEPARATOR

IN_HEAD = ("meta", "title", "style")
ELEMENTS = frozenset(
    (
        *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "div", "footer"),
        *("h1", "h2", "h3", "h4", "p", "ol", "ul", "li", "dl", "dt", "dd", "details", "summary", "br", "a"),
        *("span", "strong", "em", "b", "i", "code", "data", "sub", "sup", "small", "figure", "img", "figcaption"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td"),
        *("svg", "rect", "circle", "polygon", "path", "image", "use"),
    )
)
SHAPES = ("rect", "circle", "polygon", "path")
DRAWN = frozenset(
    ("viewbox", "preserveaspectratio", "data-plot", "x", "y", "width", "height", "cx", "cy", "r", "points", "d")
)
SHADES = frozenset(("unseen", *(f"v{n}" for n in range(1, 10))))  # classes of shapes, which are all but transparent
CARRYING = ("image", "use")  # a picture of a cell, and one that stands elsewhere on the page
FRAMES: tuple[dict[str, str], ...] = ({}, {"preserveaspectratio": "none"}, {"preserveaspectratio": "xMidYMid slice"})
ATTRIBUTES = frozenset(
    (
        *("id", "class", "lang", "charset", "name", "content", "http-equiv", "href", "role", "tabindex", "scope"),
        *("colspan", "src", "alt", "title", "aria-label", "aria-labelledby", "aria-hidden"),
        *("data-path", "data-of", "data-section", "data-at", "data-in", "data-rows", "data-some", "data-label"),
    )
)
INLINE = ("data", "span", "strong", "em", "b", "i", "code", "a", "sub", "sup", "small")
# The values that stand in the headings of tables.
HEADED = re.compile("page > level|page > training > processes > .+|robustness > curves > .+ > severity")
PART_OF = {
    **dict.fromkeys(("caption", "thead", "tbody"), ("table",)),
    **dict.fromkeys(("td", "th"), ("tr",)),
    "tr": ("thead", "tbody"),
}
HEADINGS = frozenset(("h1", "h2", "h3", "h4"))
OUTCOMES = ("passed", "not passed", "failed", "inconclusive", "not assessed", "not judged")
NEVER_FOLDED = ("page > verdict > tally", "evaluations")  # of verdicts, see page_tables.py
SPOKEN = ("alt", "title", "aria-label", "data-label")  # attributes that a reader may come to see or hear


@dataclass(slots=True)
class Mark:
    """An element that prints a value. path, of: of what it prints; section: whose number it is, where it is one.

    boxed: whether it stands in the box of the verdict; folded: whether it is seen only once something is opened.
    """

    path: str | None
    of: str | None
    section: str | None
    title: str | None
    text: str = ""
    before: str = ""
    after: str = ""
    boxed: bool = False
    folded: bool = False


@dataclass(slots=True)
class Plot:
    """A drawing. path: of what it draws; frame: attributes of it; shapes: (tag, attributes) in their order."""

    path: str | None
    frame: dict[str, str]
    shapes: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@dataclass(slots=True)
class Cell:
    """label: the heading that a narrow screen shows beside it."""

    is_head: bool
    n_columns: int
    label: str | None = None
    text: str = ""
    marks: list[Mark] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)


@dataclass(slots=True)
class TableRead:
    """rows: the path whose entries it lists, one a row; some: the same where it need not list all of them.

    folded: whether it is seen only once something is opened.
    """

    rows: str | None
    some: str | None
    folded: bool = False
    caption: str = ""
    heads: list[str] = field(default_factory=list)
    body: list[list[Cell]] = field(default_factory=list)


@dataclass(slots=True)
class Tile:
    """One number of the headline. title: what it is, and of what."""

    title: str = ""
    marks: list[Mark] = field(default_factory=list)


@dataclass(slots=True)
class Picture:
    """src: as it stands; caption: of its figure; digest: the full one that stands next, in the same row of a table;
    several pictures before it are all of it.

    rows: what that table lists.
    name: of the picture, or of the one that it shows again; None where a page carries each picture wherever it stands.
    size: width and height that its frame gives it, as they are written.
    """

    src: str
    in_figure: bool
    rows: str | None = None
    caption: str = ""
    digest: str | None = None
    name: str | None = None
    size: tuple[str, str] | None = None


@dataclass(slots=True)
class PageRead:
    """loose: text outside of every mark, with the heading that it stands under. sections: ids of the h2, in order.

    refused: why it was not read at all.
    """

    refused: str | None = None
    title: str = ""
    style: str = ""
    metas: list[dict[str, str]] = field(default_factory=list)
    marks: list[tuple[Mark, str]] = field(default_factory=list)
    loose: list[tuple[str, str]] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    tables: list[TableRead] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    n_headlines: int = 0
    tiles: list[Tile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(piece for piece, _ in self.loose)


def read_page(html: str) -> PageRead:
    pieces = pieces_of(html)
    if isinstance(pieces, str):
        return PageRead(refused=pieces)
    reader = _Reader()
    for piece in pieces:
        (reader.end if piece.closes else reader.begin)(piece)
        if piece.text:
            reader.say(piece.text)
    reader.resolve()
    if reader.open:
        reader.page.problems.append(f"<{reader.open[-1]}> is never closed")
    return reader.page


class _Reader:
    def __init__(self) -> None:
        self.page = PageRead()
        self.open: list[str] = []
        self.heading = ""
        self.mark: Mark | None = None
        self.table: TableRead | None = None
        self.cell: Cell | None = None
        self.at: str | None = None  # the beginning of the paths in this row of a table
        self.last = ""
        self.ended: Mark | None = None  # the mark that ended right here
        self.frame: dict[str, str] | None = None  # of a picture, while it is open
        self.pictures: list[Picture] = []  # of this row of a table, whose digest has not come yet
        self.sizes: dict[str, tuple[str, str]] = {}  # of the pictures by their names, as they are written
        self.box = 0  # how deep the box of the verdict is open
        self.headline = 0  # how deep the headline is
        self.tile: Tile | None = None

    def begin(self, piece: Piece) -> None:
        tag, given = piece.tag, piece.given
        if tag not in INLINE:
            self.last, self.ended = "", None
        self._check(tag, given, piece.n_given)
        if tag not in VOID:
            self.open.append(tag)
        self._check_table(tag)
        match tag:
            case "data":
                self._begin_mark(given)
            case "div" | "dl" | "dt" | "dd":
                self._begin_part(tag, given.get("class", "").split())
            case "h2":
                self.page.sections.append(given.get("id", ""))
                self.heading = ""
            case "h3":
                self.heading = ""
            case "table":
                self.table = TableRead(given.get("data-rows"), given.get("data-some"), "details" in self.open)
                self.page.tables.append(self.table)
            case "tr":
                self.pictures, self.at = [], given.get("data-at")
                if self.table is not None and "tbody" in self.open:
                    self.table.body.append([])
            case "td" | "th" if self.table is not None:
                self._begin_cell(tag, given)
            case "meta":
                self.page.metas.append(given)
            case "svg" | "rect" | "circle" | "polygon" | "path":
                self._draw(tag, given)
            case "image" | "use":
                self._frame_picture(tag, given)
            case "img":
                self._add_picture(given.get("src", ""))
            case "br":
                self._add_text(" ")

    def _begin_part(self, tag: str, classes: list[str]) -> None:
        """The box of the verdict, the headline, or a tile of it."""
        if tag == "div" and "banner" in classes and self.page.sections == ["verdict"]:
            self.box = len(self.open)
        if "tiles" in classes:
            self.headline = len(self.open)
            self.page.n_headlines += 1
            if tag != "dl" or "details" in self.open or self.page.sections != ["verdict"]:
                self.page.problems.append("the headline stands where no report has it")
        elif self.headline and tag == "div" and len(self.open) == self.headline + 1:
            self.tile = Tile()
            self.page.tiles.append(self.tile)
        elif self.headline and (self.tile is None or tag not in ("dt", "dd")):
            self.page.problems.append(f"<{tag}> stands in the headline, which no report has there")

    def _begin_mark(self, given: dict[str, str]) -> None:
        if self.mark is not None:
            self.page.problems.append("one <data> stands in another")
        self.mark = Mark(self._path(given), given.get("data-of"), given.get("data-section"), given.get("title"))
        self.mark.before = self.last
        self.mark.boxed, self.mark.folded = self.box > 0, "details" in self.open
        self.page.marks.append((self.mark, self.heading))
        if self.cell is not None:
            self.cell.marks.append(self.mark)
        if self.tile is not None:
            self.tile.marks.append(self.mark)
        if "thead" in self.open and not HEADED.fullmatch(self.mark.path or ""):
            self.page.problems.append(f"a value stands among the headings of a table: {self.mark.path}")
        if self.ended is not None and not self.ended.text[-1:].isspace():
            self.page.problems.append(f"one <data> follows right after {self.ended.text[:100]!r}")
        if self.mark.title is not None:
            for picture in self.pictures:
                picture.digest = self.mark.title
            self.pictures = []

    def _path(self, given: dict[str, str]) -> str | None:
        """The whole path of an element, which may name what its row of a table does not."""
        if "data-in" not in given:
            return given.get("data-path")
        if self.at is None or "data-path" in given:
            self.page.problems.append(f"{given['data-in']!r} is the rest of a path, and its row begins none")
            return None
        return f"{self.at}{SEPARATOR}{given['data-in']}"

    def _draw(self, tag: str, given: dict[str, str]) -> None:
        if tag == "svg" and given.get("class") == "thumb" and self.cell is not None:
            self.frame = given
        elif tag == "svg" and self.cell is not None:
            self.cell.plots.append(Plot(given.get("data-plot"), given))
        elif self._is_shape(tag) and self.cell is not None and self.cell.plots:
            self.cell.plots[-1].shapes.append((tag, given))
        else:
            self.page.problems.append(f"<{tag}> stands where no report draws anything")

    def _is_shape(self, tag: str) -> bool:
        """Whether it is a part of a drawing, and of no frame of a picture."""
        return self.open[-2:] == ["svg", tag] and tag != "svg" and self.frame is None

    def _frame_picture(self, tag: str, given: dict[str, str]) -> None:
        """A picture in a frame of its own shape, which the page carries there or elsewhere."""
        frame, self.frame = self.frame, None
        if frame is None or self.open[-2:] != ["svg", tag]:
            self.page.problems.append(f"<{tag}> stands outside of a picture's frame, or beside another picture")
            return
        href, name = given.get("href", ""), given.get("id")
        if tag == "use":
            if set(given) != {"href"} or href[:1] != "#":
                self.page.problems.append(f"a picture is shown again in another way than a report's: {href[:60]!r}")
            href, name = "", href[1:]
            size = self.sizes.get(name)
        else:
            size = (given.get("width", ""), given.get("height", ""))
            if set(given) != {"id", "href", "width", "height"} or name in self.sizes:
                self.page.problems.append(f"a picture is placed in another way than a report's: {name!r}")
            self.sizes[name or ""] = size
        if size is None:
            self.page.problems.append(f"a picture is shown again that did not stand before: {name!r}")
        elif frame not in ({**_frame(frame, size), **fit} for fit in FRAMES):
            self.page.problems.append(f"the frame of a picture is not as a report has it: {name!r}")
        self._add_picture(href, name, size)

    def resolve(self) -> None:
        """Pictures that are shown again have the bytes of the one that stands for all, which is of the same cell."""
        placed = {each.name: each for each in self.page.pictures if each.name is not None and each.src}
        for picture in self.page.pictures:
            if picture.name is None or picture.src or picture.name not in placed:
                continue
            picture.src = placed[picture.name].src
            if picture.digest != placed[picture.name].digest:
                self.page.problems.append(f"beside {picture.digest!r} stands the picture of another cell")

    def _add_picture(self, src: str, name: str | None = None, size: tuple[str, str] | None = None) -> None:
        rows = self.table.rows if self.table is not None else None
        picture = Picture(src, "figure" in self.open, rows, name=name, size=size)
        self.pictures.append(picture)
        self.page.pictures.append(picture)

    def _begin_cell(self, tag: str, given: dict[str, str]) -> None:
        columns = given.get("colspan", "1")
        n_columns = int(columns) if columns.isascii() and columns.isdecimal() else 1
        self.cell = Cell(tag == "th", n_columns, given.get("data-label"))
        if self.table is not None and "tbody" in self.open and self.table.body:
            self.table.body[-1].append(self.cell)

    def end(self, piece: Piece) -> None:
        tag = piece.tag
        if not self.open or self.open[-1] != tag:
            self.page.problems.append(f"</{tag}> closes something else")
            return
        self.open.pop()
        if tag == "svg" and self.frame is not None:
            self.page.problems.append("the frame of a picture is empty")
            self.frame = None
        if tag not in INLINE:
            self.last, self.ended = "", None
        depth = len(self.open)
        self.box, self.headline = (at if depth >= at else 0 for at in (self.box, self.headline))
        if not self.headline or depth <= self.headline:
            self.tile = None
        match tag:
            case "data":
                self.mark, self.ended = None, self.mark
            case "tr":
                self.pictures, self.at = [], None
            case "td" | "th":
                if self.table is not None and self.cell is not None and "thead" in self.open:
                    self.table.heads += [_plain(self.cell.text)] * self.cell.n_columns
                self.cell = None
            case "table":
                self.table = None

    def say(self, data: str) -> None:
        where = self.open[-1] if self.open else ""
        if where == "style":
            self.page.style += data
            return
        if where in ("html", "head") and data.strip():
            self.page.problems.append(f"text stands outside of the body: {data.strip()[:100]!r}")
        if where == "title":
            self.page.title += data
            return
        self._add_text(data)

    def _add_text(self, text: str) -> None:
        if self.mark is not None:
            self.mark.text += text
        else:
            self.page.loose.append((text, self.heading))
            if is_outcome(text) and not HEADINGS.isdisjoint(self.open):
                self.page.problems.append(f"{text.strip()!r} is a heading, and follows from nothing")
            if self.ended is not None:
                self.ended.after, self.ended = text, None
        if "h2" in self.open or "h3" in self.open:
            self.heading += text
        if self.cell is not None:
            self.cell.text += text
        elif self.table is not None and "caption" in self.open:
            self.table.caption += text
        if self.tile is not None and "dt" in self.open:
            self.tile.title += text
        elif self.headline and self.tile is None and text.strip():
            self.page.problems.append(f"{text.strip()[:100]!r} stands between the tiles of the headline")
        if "figcaption" in self.open and self.page.pictures:
            self.page.pictures[-1].caption += text
        self.last = text

    def _check(self, tag: str, given: dict[str, str], n_given: int) -> None:
        if tag not in ELEMENTS or ((tag in IN_HEAD) is not (self.open == ["html", "head"])):
            self.page.problems.append(f"<{tag}> stands on it, which no report has there")
        drawn = DRAWN if tag in ("svg", *SHAPES, *CARRYING) else frozenset()
        for name in sorted(given.keys() - ATTRIBUTES - drawn):
            self.page.problems.append(f"<{tag}> has the attribute {name!r}, which no report has")
        if len(given) != n_given:
            self.page.problems.append(f"<{tag}> has one attribute twice")
        classes = given.get("class", "").split()
        if ("veil" in classes and tag != "svg") or (tag not in SHAPES and not SHADES.isdisjoint(classes)):
            self.page.problems.append(f"<{tag}> is shaded like a place of a map")
        if "over" in classes and (tag != "span" or self.cell is None):
            self.page.problems.append(f"<{tag}> is cut like the picture under a map")
        if "skip" in classes and (tag != "a" or self.open != ["html", "body"]):
            self.page.problems.append(f"<{tag}> is hidden like the link past the headings")
        if "data-at" in given and tag != "tr":
            self.page.problems.append(f"<{tag}> begins paths, and only a row of a table does")
        if tag == "table" and given.get("data-rows") in NEVER_FOLDED and "details" in self.open:
            self.page.problems.append(f"the table of {given['data-rows']} is folded away")
        if tag != "data":
            beside = "tbody" in self.open and tag in ("td", "th")  # its label is compared with its heading
            spoken = [given[name] for name in SPOKEN if name in given and not (beside and name == "data-label")]
            told = [text for text in spoken if is_outcome(text)]
            self.page.problems += [f"{text!r} is told where it is not seen" for text in told]
            self.page.spoken += spoken

    def _check_table(self, tag: str) -> None:
        """Before a part of a table begins: it stands in the part that it belongs to."""
        within = self.open[-2:-1] if tag not in VOID else self.open[-1:]
        if tag == "table" and self.table is not None:
            self.page.problems.append("one table stands in another")
        if tag in PART_OF and (not within or within[0] not in PART_OF[tag]):
            self.page.problems.append(f"<{tag}> stands outside of its part of a table")
        if tag not in (*PART_OF, *VOID) and within and within[0] in ("table", "thead", "tbody", "tr"):
            self.page.problems.append(f"<{tag}> stands between the parts of a table")


def _frame(given: dict[str, str], size: tuple[str, str]) -> dict[str, str]:
    """What the frame of a picture of this size has, whatever it is called."""
    told = given.get("aria-label", "")
    return {"class": "thumb", "viewbox": f"0 0 {size[0]} {size[1]}", "role": "img", "aria-label": told}


@lru_cache(maxsize=4096)  # a page says the same few hundred words in thousands of places
def is_outcome(text: str) -> bool:
    """Whether a text is an outcome and nothing else."""
    return re.sub(r"\W+", " ", text).strip().casefold() in OUTCOMES


def _plain(text: str) -> str:
    return " ".join(text.split())
