"""The pages for people: README.md and docs/, their links, headings and the commands that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.core.places import PROJECT

DOCS = PROJECT / "docs"
INDEX = DOCS / "README.md"
DECISIONS = DOCS / "decisions"
SHELL = ("console", "sh", "bash")
KEYWORDS = ("do", "done", "while", "export")
BETWEEN = re.compile(r"[;&|]+")
OPTIONAL = re.compile(r"\[(--[^\]]+)\]")
HEREDOC = re.compile(r"<<'?(\w+)'?")


def pages() -> list[Path]:
    """Every page that is read today; the decisions are history."""
    docs = [page for page in sorted(DOCS.rglob("*.md")) if DECISIONS not in page.parents]
    return [PROJECT / "README.md", *docs]


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def tokens(page: Path) -> Iterator[Token]:
    """Blocks, and what is inside lines."""
    for block in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        yield block
        yield from block.children or ()


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        target = token.attrGet("href") or token.attrGet("src")
        if target is not None:
            yield str(target)


def anchors(page: Path) -> set[str]:
    """What GitHub calls its headings."""
    found, heading = set(), False
    for token in tokens(page):
        if heading:
            words = re.sub(r"[^\w\- ]", "", token.content.lower())
            found.add(words.replace(" ", "-"))
        heading = token.type == "heading_open"
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """A command that a page shows. inline: in a sentence, where it may lack what it is about."""

    page: str
    words: tuple[str, ...]
    inline: bool = False

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands(page: Path) -> Iterator[Shown]:
    """Every simple command of the shell blocks of a page, and those in its sentences that name one of our programs."""
    for token in tokens(page):
        if token.type == "fence" and token.info in SHELL:
            lines = [each for line in _logical_lines(token.content) for each in _variants(line)]
            yield from (Shown(name_of(page), words) for line in lines for words in _simple_commands(line))
        elif token.type == "code_inline" and _is_a_command(token.content):
            yield from (Shown(name_of(page), words, inline=True) for words in _simple_commands(token.content))


def _is_a_command(text: str) -> bool:
    return re.match(r"(\.venv/bin/)?(python|pytest|leukocyte-harness|pip|tox) [-\w./]", text) is not None


def _logical_lines(text: str) -> Iterator[str]:
    """Lines of a shell, whatever is quoted in them; what a here-document holds is left out."""
    line, until = "", None
    for each in text.splitlines():
        if until is not None:
            until = None if each == until else until
            continue
        line = f"{line[:-1]} {each}" if line.endswith("\\") else f"{line}\n{each}" if line else each
        if line.endswith("\\"):
            continue
        try:
            shlex.split(line, comments=True)
        except ValueError:  # a quotation goes on
            continue
        if (document := HEREDOC.search(line)) is not None:
            until = document[1]
        yield line
        line = ""
    assert not line, f"a quotation or a line is not ended: {line}"


def _variants(line: str) -> Iterator[str]:
    """A line with everything that it shows as optional, `[--this|--that]`, and one for each further option of those."""
    yield OPTIONAL.sub(lambda found: found[1].partition("|")[0], line)
    for found in OPTIONAL.finditer(line):
        for other in found[1].split("|")[1:]:
            if other.startswith("--"):
                yield OPTIONAL.sub("", f"{line[: found.start()]} {other} {line[found.end() :]}")


def _simple_commands(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of a line, without what stands before the program: variables, loops, the choice of cores."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        found.append([]) if BETWEEN.fullmatch(word) else found[-1].append(word)
    for words in found:
        while words and (words[0] in KEYWORDS or re.match(r"\w+=", words[0])):
            words = words[1:]
        if words[:2] == ["taskset", "-c"]:
            words = words[3:]
        redirected = [at for at, word in enumerate(words) if word[:1] in ("<", ">")]
        words = words[: redirected[0]] if redirected else words
        if words and words[0] != "for":
            yield (words[0].removeprefix(".venv/bin/"), *words[1:])
