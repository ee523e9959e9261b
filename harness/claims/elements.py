"""What stands in what on an HTML page? Read with Python's own parser, which takes any page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """line: of its first character."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Element:
    """given: its attributes."""

    name: str
    line: int
    given: dict[str, str]
    children: list[Element | Text] = field(default_factory=list)

    def within(self) -> Iterator[Element | Text]:
        """All that stands in it, in order; no recursion, a page may nest without end."""
        open_nodes: list[Iterator[Element | Text]] = [iter(self.children)]
        while open_nodes:
            node = next(open_nodes[-1], None)
            if node is None:
                open_nodes.pop()
                continue
            yield node
            if isinstance(node, Element):
                open_nodes.append(iter(node.children))


def parsed(html: str) -> Element:
    """The page as one element. One that is never closed ends with the one around it; an end of none is passed over."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.open[0]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", 1, {})]
        self.n_open: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, self.getpos()[0], {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)
            self.n_open[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        while self.n_open[tag] > 0:
            ended = self.open.pop().name
            self.n_open[ended] -= 1
            if ended == tag:
                return

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(Text(self.getpos()[0], data))
