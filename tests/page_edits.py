"""Edits of a report that whoever forges one may make; each must be found by the page's numbers alone."""

from __future__ import annotations

import html
import re
from collections.abc import Callable


def once(page: str, old: str, new: str) -> str:
    assert old in page, old
    return page.replace(old, new, 1)


def element(page: str, path: str, nth: int = 0) -> re.Match[str]:
    """The nth element that prints a path."""
    escaped = re.escape(html.escape(path))
    return list(re.finditer(rf'<data data-path="{escaped}"[^>]*>([^<]*)</data>', page))[nth]


def said(path: str, text: str) -> Callable[[str], str]:
    """The first element of a path says something else."""

    def edit(page: str) -> str:
        found = element(page, path)
        assert found[1] != text
        return page[: found.start(1)] + text + page[found.end(1) :]

    return edit


def matched(page: str, pattern: str) -> str:
    return re.findall(pattern, page, re.DOTALL)[0]


def table_of(page: str, path: str) -> str:
    return matched(page, rf'<table class="[a-z ]*" data-rows="{path}">.*?</table>')


def row_of(page: str, path: str) -> str:
    """The first table row that an element of a path stands in."""
    escaped = re.escape(html.escape(path))
    for found in re.finditer(rf'<data data-path="{escaped}"', page):
        start, end = page.rfind("<tr", 0, found.start()), page.find("</tr>", found.start()) + len("</tr>")
        if start > page.rfind("</tr>", 0, found.start()):
            return page[start:end]
    raise AssertionError(f"{path} stands in no row")


def without_row(path: str) -> Callable[[str], str]:
    return lambda page: once(page, row_of(page, path), "")


def row_twice(path: str) -> Callable[[str], str]:
    return lambda page: once(page, row_of(page, path), row_of(page, path) * 2)


def in_row(path: str, old: str, new: str) -> Callable[[str], str]:
    """In the row of a path, one element says what another path leads to, or nothing."""
    return lambda page: once(page, row := row_of(page, path), once(row, element(row, old)[0], new))


def mark(path: str, text: str) -> str:
    return f'<data data-path="{html.escape(path)}">{text}</data>'


def before_end(path: str, end: str, new: str) -> Callable[[str], str]:
    """The table of the first element of a path has something new before its `end`."""

    def edit(page: str) -> str:
        place = page.index(end, page.rindex("<table", 0, element(page, path).start()))
        return page[:place] + new + page[place:]

    return edit


def swapped(one: str, other: str) -> Callable[[str], str]:
    """Two elements change places, paths and all."""

    def edit(page: str) -> str:
        first, second = element(page, one)[0], element(page, other)[0]
        assert first != second
        return once(once(once(page, first, "\0"), second, first), "\0", second)

    return edit


def added(text: str) -> Callable[[str], str]:
    return lambda page: once(page, "</main>", f"{text}</main>")


def around(path: str, before: str, after: str) -> Callable[[str], str]:
    return lambda page: once(page, found := element(page, path)[0], f"{before}{found}{after}")


def drawn(page: str, criterion: str) -> str:
    """The line of a criterion in the forest plot."""
    return matched(page, rf'<svg class="forest" data-plot="verdicts &gt; {criterion}".*?</svg>')


def tile(page: str, title: str) -> str:
    """The headline's tile that begins with a title."""
    return matched(page, rf"<div><dt>(?:<a[^>]*>)?{title}.*?</div>")


def in_tile(title: str, old: str, new: str) -> Callable[[str], str]:
    return lambda page: once(page, found := tile(page, title), once(found, old, new))


def lines_of(page: str) -> str:
    """The list of the required criteria that were sampled."""
    return matched(page, r'<table class="wide forest".*?</table>')


def line_of(page: str, criterion: str) -> str:
    return matched(page, rf'<tr id="line-{criterion}".*?</tr>')


def headings_swapped(one: str, other: str) -> Callable[[str], str]:
    """Two headings of the required criteria change places, with what a narrow screen shows of them."""

    def edit(page: str) -> str:
        edited = found = lines_of(page)
        for form in (">{}</th>", 'data-label="{}"'):
            first, second = form.format(one), form.format(other)
            assert first in found and second in found
            edited = edited.replace(first, "\0").replace(second, first).replace("\0", second)
        return once(page, found, edited)

    return edit


def blocking(page: str) -> str:
    """The paragraph of the box that names what keeps the run from passing."""
    return matched(page, r'<p><strong><data data-path="page &gt; verdict &gt; blocking">.*?</p>')


def redrawn(attribute: str, new: str) -> Callable[[str], str]:
    """The interval of A1 is drawn at a place that is written in another way."""

    def edit(page: str) -> str:
        found = drawn(page, "A1")
        return once(page, found, re.sub(rf'(class="interval"[^>]* {attribute}=)"[^"]*"', rf'\g<1>"{new}"', found))

    return edit


RECALL = "evaluations > test > per_class > {} > recall"
VERDICT = "verdicts > {}"
REQUIRED = "verdicts > E1 > required"
ID, OUTCOME = mark("verdicts > E1 > criterion", "E1"), mark("verdicts > A1 > outcome", "passed")
FORGED = f"<tr><td>{ID}</td><td>{OUTCOME}</td></tr>"
TRAINED = mark("training > phases > 0 > epochs > 12 > validation_accuracy", "96.67 %")
HIDDEN = '<p style="display:none">3</p>'

EDITS: dict[str, Callable[[str], str]] = {
    "the word of the run": said("run > passed", "Passed"),
    "the title": lambda page: once(page, "<title>Not passed", "<title>Passed"),
    "the word of a verdict": said("verdicts > E1 > outcome", "passed"),
    "an outcome of no meaning": said("verdicts > E1 > outcome", "Passed!"),
    "whether a criterion was required": said("verdicts > E1 > required", "for information"),
    "a count of a proportion": said("verdicts > E1 > estimate", "110/140"),
    "the whole of a proportion": said("verdicts > E1 > estimate", "109/139"),
    "a percentage": said("verdicts > E1 > estimate > value", "78.86 %"),
    "a percentage by its last place": said("verdicts > E1 > estimate > value", "77.87 %"),
    "a percentage of fewer places": said("verdicts > E1 > estimate > value", "80 %"),
    "a lower bound": said("verdicts > E1 > estimate > lower", "lower 92.31 %"),
    "a bound under the other's name": said("verdicts > E1 > estimate > lower", "upper 71.31 %"),
    "a level": said("verdicts > E1 > estimate > level", "99 %"),
    "a floor": said("protocol > content > criteria > E1 > floor", "70 %"),
    "a look": said("looks > test", "1"),
    "a reason": said("verdicts > E1 > reason", "the bound meets the requirement"),
    "a cell of a matrix": said("evaluations > test > confusion > 0 > 1", "0"),
    "a recall": said(RECALL.format("basophil"), "6/6 (100 %)"),
    "a recall's percentage alone": said(RECALL.format("basophil"), "5/6 (93.33 %)"),
    "an interval": said(f"{RECALL.format('basophil')} > display", "80.00 % to 99.00 %"),
    "an undefined recall": said("evaluations > nine-monocytes > per_class > basophil > recall", "0/0 (100 %)"),
    "a number of images": said("sets > dataset > n_images", "2,000"),
    "a digest": said("split > digest", "0" * 64),
    "a shortened digest": said("sets > dataset > digest", "0" * 12),
    "a digest to nearly nothing": said("split > digest", ""),
    "a difference": said("page > comparison > sets > test > rows > all > difference", "+6.67 points"),
    "a calibration error": said("calibrations > test > before > ece", "0.00012"),
    "a time": said("page > speed > 0 > value", "0.0001 s"),
    "a duration": said("run > seconds", "1 min 12 s"),
    "the date": said("run > started_at", "2027-01-15 09:30:00 UTC"),
    "a text that is recorded": said("protocol > content > identity > intended_use", "For diagnosis."),
    "a number of a section": lambda page: re.sub(r'(<data data-section="results">)\d+', r"\g<1>1", page, count=1),
    "a path that does not exist": lambda page: once(page, 'data-path="looks &gt; test"', 'data-path="looks &gt; x"'),
    "a path to another value": lambda page: once(
        page, html.escape('data-path="run > id"', quote=False), html.escape('data-path="run > command"', quote=False)
    ),
    "an element without a path": lambda page: once(page, ' data-path="run &gt; seconds"', ""),
    "a sign before a number": lambda page: once(page, found := element(page, "looks > test")[0], f"-{found}"),
    "a row of the verdicts lost": without_row("verdicts > E1 > required"),
    "a row of the verdicts doubled": row_twice("verdicts > A1 > required"),
    "a row of the matrix lost": without_row("evaluations > test > confusion > 0 > 1"),
    "a class lost": without_row(f"{RECALL.format('basophil')} > display"),
    "a class doubled": row_twice(f"{RECALL.format('monocyte')} > display"),
    "a set lost": without_row("evaluations > second-laboratory > accuracy"),
    "a seed lost": without_row("page > comparison > seeds > 7"),
    "a wrong cell lost": lambda page: once(
        page, matched(page, r"<tr>(?:(?!</tr>).)*predictions/test\.csv.*?</tr>"), ""
    ),
    "a limit doubled": lambda page: once(page, found := matched(page, r"<tr><td[^>]*>No clinical.*?</tr>"), found * 2),
    "recall and precision swapped": swapped(
        RECALL.format("basophil"), "evaluations > test > per_class > basophil > precision"
    ),
    "two classes swapped": swapped(RECALL.format("basophil"), RECALL.format("monocyte")),
    "two cells of a matrix swapped": swapped(
        "evaluations > test > confusion > 0 > 0", "evaluations > test > confusion > 0 > 1"
    ),
    "two rows' cells of a matrix swapped": swapped(
        "evaluations > test > confusion > 0 > 0", "evaluations > test > confusion > 1 > 0"
    ),
    "reference and predicted swapped": lambda page: swapped(
        found := html.unescape(matched(page, r'data-path="(predictions/test\.csv &gt; \d+ &gt; label)"')),
        found.replace("label", "predicted"),
    )(page),
    "a verdict under another's name": lambda page: once(
        page,
        row := row_of(page, "verdicts > E1 > required"),
        once(row, element(page, "verdicts > E1 > criterion")[0], element(page, "verdicts > E2 > criterion")[0]),
    ),
    "before and after temperature swapped": swapped(
        "calibrations > test > before > mce", "calibrations > test > after > mce"
    ),
    "two measures of calibration swapped": swapped(
        "calibrations > test > before > ece", "calibrations > test > before > mce"
    ),
    "a label that only narrow screens show": lambda page: once(page, 'data-label="Observed"', 'data-label="99.9 %"'),
    "a heading of a column": lambda page: once(page, 'class="number">Recall</th>', 'class="number">Precision</th>'),
    "a whole table lost": lambda page: once(page, table_of(page, "evaluations &gt; test &gt; confusion"), ""),
    "a whole table doubled": lambda page: once(page, found := table_of(page, "evaluations"), found * 2),
    "a table that no longer says what it lists": lambda page: once(page, ' data-rows="evaluations"', ""),
    "a sentence with a number": added("<p>Accuracy 99.9 %.</p>"),
    "a sentence with a fraction": added("<p>149/150 right</p>"),
    "a number in other digits": added("<p>Accuracy \u0669\u0669 percent</p>"),
    "a number in full-width digits": added("<p>Accuracy \uff19\uff19</p>"),
    "a fraction in one sign": added("<p>more than \u00be right</p>"),
    "a number that a script writes": added("<script>1</script>"),
    "a picture of a vector": added("<svg><text>99 %</text></svg>"),
    "a frame": added('<iframe srcdoc="99"></iframe>'),
    "a style of its own": added(HIDDEN),
    "a second style sheet": added("<style>.banner{display:none}</style>"),
    "a comment that begins something else": added("<![CDATA[ 99 ]]>"),
    "a number that is only heard": lambda page: once(page, 'aria-label="Contents"', 'aria-label="99 of 100 right"'),
    "a number under a figure": lambda page: once(page, "<figcaption>", "<figcaption>99 right; "),
    "an element that is never closed": added("<div>"),
    "a comment": added("<!-- the rest -->"),
    "a comment that ends at once": added("<!--><p>Accuracy flawless</p><!-- -->"),
    "a style that ends in another way": lambda page: once(page, "</style>", "</style/><p>99 %</p><style></style>"),
    "a second style": lambda page: once(page, "</style>", "</style><style></style>"),
    "a style in capitals": added("<STYLE>.banner{color:red}</STYLE>"),
    "the sign before an outcome": lambda page: once(page, 'aria-hidden="true">✗<', 'aria-hidden="true">✓<'),
    "the sign before the word of the run": lambda page: once(
        page, 'class="word"><span aria-hidden="true">✗', 'class="word"><span aria-hidden="true">✓'
    ),
    "the colour of the word of the run": lambda page: once(page, '<div class="banner">', '<div class="banner passed">'),
    "a second banner": added('<div class="banner passed"><p>Good</p></div>'),
    "the colour of an outcome": lambda page: once(page, 'class="outcome failed"', 'class="outcome passed"'),
    "the colour of an outcome that has two": lambda page: once(
        page, 'class="outcome failed"', 'class="passed outcome"'
    ),
    "an outcome's box around something else": added(
        '<p><span class="outcome passed"><span class="mark" aria-hidden="true">✓</span> everything</span></p>'
    ),
    "an outcome alone, in a paragraph": added("<p>Passed</p>"),
    "an outcome alone with its sign": added("<p>✓ passed.</p>"),
    "an outcome alone, in a list": added("<ul><li><strong>not assessed</strong></li></ul>"),
    "the sign of an outcome alone": added("<p>All of it: ✓</p>"),
    "a markup in the title": lambda page: once(page, "<title>", "<title><b>"),
    "a way to another page": lambda page: once(
        page, "</head>", '<meta http-equiv="refresh" content="0;url=https://example.org"></head>'
    ),
    "another alphabet": lambda page: once(page, 'charset="utf-8"', 'charset="iso-2022-jp"'),
    "a wider policy": lambda page: once(page, "img-src data:", "img-src *"),
    "no policy": lambda page: re.sub("<meta http-equiv=.*?>", "", page),
    "a policy that comes too late": lambda page: once(
        once(page, found := matched(page, "<meta http-equiv=.*?>"), ""), "<body>", f"<body>{found}"
    ),
    "text before the policy": lambda page: once(page, "<head>", "<head>flawless"),
    "a style that is not the policy's": lambda page: once(page, "</style>", "td{display:none}</style>"),
    "a picture of words": added('<figure><img src="data:image/svg+xml,flawless" alt="x"></figure>'),
    "a picture from elsewhere": added('<figure><img src="https://example.org/x.png" alt="x"></figure>'),
    "a picture beside nothing": added('<p><img src="data:image/png;base64,AAAA" alt="x"></p>'),
    "a picture in a row about no cell": lambda page: once(
        page,
        row := row_of(page, "evaluations > test > accuracy"),
        once(row, "</th>", '<img src="data:image/png;base64,AAAA" alt="x"></th>'),
    ),
    "a caption below nothing": added("<p>(figures/Accuracy is 99.9 % on all sets.png)</p>"),
    "a turn of direction": added("<p>less \u202e than</p>"),
    "a turn of direction before a number": around("looks > test", "&#x202e;", ""),
    "a sign and nothing": around("looks > test", "-&#8203;", ""),
    "a sign and a space": around("looks > test", "\u2212 ", ""),
    "at least": around("looks > test", "\u2265", ""),
    "at least, with a space": around("looks > test", "\u2265 ", ""),
    "at most for at least": lambda page: once(page, "\u2265 <data", "\u2264 <data"),
    "a slash before": around("looks > test", "/", ""),
    "a hundred after": around("looks > test", "", "\U0001f4af"),
    "thousands": around("looks > test", "", "k"),
    "one number right after another": lambda page: once(page, found := element(page, "looks > test")[0], found * 2),
    "a part of another whole": lambda page: re.sub('data-of="[^"]*"', 'data-of="looks &gt; test"', page, count=1),
    "what was observed is another verdict's": in_row(
        REQUIRED,
        "verdicts > E1 > estimate > value",
        TRAINED,
    ),
    "what was observed is not said": in_row(REQUIRED, "verdicts > E1 > estimate > value", ""),
    "a bound is not said": in_row(REQUIRED, "verdicts > E1 > estimate > lower", ""),
    "the counts are not said": in_row(REQUIRED, "verdicts > E1 > estimate", ""),
    "the floor is not said": in_row(REQUIRED, "protocol > content > criteria > E1 > floor", ""),
    "a row outside of the body": before_end(REQUIRED, "</table>", FORGED),
    "a row among the headings": before_end(REQUIRED, "</thead>", FORGED),
    "a table in another": before_end(REQUIRED, "</td>", "<table></table>"),
    "a paragraph in a table": before_end(REQUIRED, "<tbody>", "<p>All is well.</p>"),
    "a table that lists nothing": added(
        f"<table><caption>Verdicts</caption><thead><tr><th>Criterion</th><th>Outcome</th></tr></thead>"
        f"<tbody>{FORGED}</tbody></table>"
    ),
    "seeds": added("<p>42 of 42 cells right; 7 errors in all.</p>"),
    "a seed alone": added("<p>7</p>"),
    "a word that is hidden": lambda page: once(
        page, found := element(page, "run > passed")[0], f'<span class="skip">{found}</span>'
    ),
    "the verdicts folded away": lambda page: once(
        page, found := matched(page, '<table[^>]*data-rows="verdicts">.*?</table>'), f"<details>{found}</details>"
    ),
    "a verdict that did not pass moved into a fold": lambda page: once(
        once(page, row := row_of(page, "verdicts > E2 > required"), ""),
        passed := matched(page, r"<tr id=\"criterion-A1\".*?</tr>"),
        passed + row,
    ),
    "a drawn value that is another": lambda page: once(page, found := drawn(page, "E1"), once(found, 'r="4"', 'r="5"')),
    "a drawn bound farther right": lambda page: once(
        page, found := drawn(page, "A1"), re.sub(r'(class="interval" x=")[0-9.]+', r"\g<1>190", found)
    ),
    "a drawing in another's row": lambda page: once(page, drawn(page, "E1"), drawn(page, "A1")),
    "a drawing of nothing": added("<p><svg></svg></p>"),
    "a word in a drawing": lambda page: once(page, "</svg>", "<b>99 %</b></svg>"),
    "a headline": lambda page: once(page, "<main", "<h1>Passed</h1><main"),
    "a verdict that is only heard": added('<p title="passed">All is told.</p>'),
    "a new verdict": added('<p>E1: <data data-path="verdicts &gt; E1 &gt; outcome">passed</data></p>'),
    "the headline lost": lambda page: once(page, matched(page, r'<dl class="tiles">.*?</dl>'), ""),
    "the headline folded away": lambda page: once(
        page, found := matched(page, r'<dl class="tiles">.*?</dl>'), f"<details>{found}</details>"
    ),
    "the headline twice": lambda page: once(page, found := matched(page, r'<dl class="tiles">.*?</dl>'), found * 2),
    "a tile lost": lambda page: once(page, tile(page, "Worst external set"), ""),
    "a tile twice": lambda page: once(page, found := tile(page, "Worst class"), found * 2),
    "another set's accuracy in a tile": lambda page: in_tile(
        "Accuracy on test",
        element(page, "evaluations > test > accuracy")[0],
        element(page, "evaluations > nine-monocytes > accuracy")[0],
    )(page),
    "another class's recall in a tile": lambda page: in_tile(
        "Worst class", element(page, RECALL.format("basophil"))[0], element(page, RECALL.format("neutrophil"))[0]
    )(page),
    "another class in a tile": lambda page: once(
        page,
        found := tile(page, "Worst class"),
        once(
            once(
                found.replace(">Worst class on test: basophil<", ">Worst class on test: neutrophil<"),
                element(page, RECALL.format("basophil"))[0],
                element(page, RECALL.format("neutrophil"))[0],
            ),
            element(page, "page > results > joint_recall > test > basophil")[0],
            element(page, "page > results > joint_recall > test > neutrophil")[0],
        ),
    ),
    "the name of a class in a tile": in_tile("Worst class", ": basophil<", ": neutrophil<"),
    "the name of a set in a tile": in_tile("Worst external set", ": second-laboratory<", ": third-clinic<"),
    "the sign of a bound in a tile": in_tile("Worst class", "\u2265 <data", "<data"),
    "a value more in a tile": lambda page: in_tile(
        "Accuracy on test", "</dd>", f"; {element(page, 'evaluations > train > accuracy')[0]}</dd>"
    )(page),
    "a drawn place with underscores": lambda page: once(page, found := drawn(page, "E1"), once(found, "99.5", "9_9.5")),
    "a drawn place in other digits": lambda page: once(
        page, found := drawn(page, "E1"), once(found, "99.5", "\u0669\u0669.5")
    ),
    "a drawn place with an exponent": lambda page: once(
        page, found := drawn(page, "E1"), once(found, "99.5", "995e-1")
    ),
    "a drawn place with spaces": lambda page: once(page, found := drawn(page, "E1"), once(found, "99.5", " 99.5 ")),
    "a drawn width with a sign": redrawn("width", "+69.3"),
    "a line lost": lambda page: once(page, line_of(page, "E1"), ""),
    "a line twice": lambda page: once(page, found := line_of(page, "E1"), found * 2),
    "a line of an exact count lost": lambda page: once(page, line_of(page, "D1"), ""),
    "a drawing lost": lambda page: once(page, drawn(page, "E1"), ""),
    "a drawing twice": lambda page: once(page, found := drawn(page, "E1"), found * 2),
    "the lines folded away": lambda page: once(page, found := lines_of(page), f"<details>{found}</details>"),
    "a margin lost": lambda page: once(page, element(page, "page > verdict > margins > E1")[0], ""),
    "a bound of a line lost": lambda page: once(
        page, found := line_of(page, "E1"), once(found, element(page, "verdicts > E1 > estimate > lower")[0], "")
    ),
    "observed and required change headings": headings_swapped("Observed", "Required"),
    "bounds and margin change headings": headings_swapped("Bounds", "Margin"),
    "observed and required change columns": lambda page: once(
        page,
        found := line_of(page, "E1"),
        once(
            once(
                once(found, one := element(found, "verdicts > E1 > estimate > value")[0], "\0"),
                other := element(found, "protocol > content > criteria > E1 > floor")[0],
                one,
            ),
            "\0",
            other,
        ),
    ),
    "a heading of a line": lambda page: once(
        page, found := lines_of(page), found.replace(">Margin</th>", ">Spare</th>").replace('="Margin"', '="Spare"')
    ),
    "what blocks is not in the box": lambda page: once(page, blocking(page), ""),
    "what blocks is folded away": lambda page: once(
        page, found := blocking(page), f"<details><summary>More</summary>{found}</details>"
    ),
    "the criterion that blocks is not named": lambda page: once(
        page, found := blocking(page), once(found, element(page, "verdicts > E1 > criterion")[0], "one")
    ),
    "a waiver is not in the box": lambda page: once(page, matched(page, "<p><strong>Waived: .*?</p>"), ""),
    "the box folded away": lambda page: once(
        page, found := matched(page, '<div class="banner">.*?</div>'), f"<details>{found}</details>"
    ),
    "the limits folded away": lambda page: once(
        page, found := matched(page, '<table class="wide limits".*?</table>'), f"<details>{found}</details>"
    ),
    "the limits lost": lambda page: once(page, matched(page, '<table class="wide limits".*?</table>'), ""),
    "no label for a narrow screen": lambda page: re.sub(' data-label="[^"]*"', "", page),
    "one label less for a narrow screen": lambda page: once(page, ' data-label="Observed"', ""),
}
