"""What would a model hub say of this classifier? A model card in Hugging Face's format, of what one run showed.

The front matter has a `model-index`: every value in it is the run's, unrounded. The text begins with the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from harness.core.text import visible
from harness.judge.criteria import subject_of
from harness.metrics.classification import estimate
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Evaluation, Unavailable
from harness.metrics.unknown import confidently_known, confused_with
from harness.model.records import ModelCard
from harness.protocol.names import PARTS
from harness.report import wording
from harness.report.section import Limit
from harness.report.sentences import conclusion
from harness.report.summary import code, plain
from harness.run.results import RunResults

TASK = {"type": "image-classification", "name": "Image classification"}
MAX_CARD_BYTES = 4 << 20
NO_CLAIM = "Research tool, not a medical device, no clinical claim."
# What the format calls a metric of ours -> of which one, and how it is averaged there.
AVERAGED = {"macro_f1": ("f1", {"average": "macro"})}


def model_card(run: RunResults, *, limits: Sequence[Limit], sums_digest: str) -> str:
    """README.md of a model repository, of a run whose pack was verified.

    Args:
        limits: what the run does not show, as its report says it.
        sums_digest: SHA-256 of the pack's SHA256SUMS, which stands for the pack.
    """
    import yaml  # type: ignore[import-untyped]  # for the job `card` alone; reading a pack writes none

    front = yaml.safe_dump(front_matter(run), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n" + "\n".join(_body(run, limits, sums_digest)) + "\n"


def front_matter(run: RunResults) -> dict[str, Any]:
    """The part that machines read; values are the run's own, to the last bit."""
    return {
        "pipeline_tag": TASK["type"],
        "tags": [TASK["type"], "leukocyte-harness", "passed" if run.passed else "not-passed"],
        "model-index": [{"name": _name(run), "results": [_result(name, each) for name, each in _judged(run)]}],
    }


def _name(run: RunResults) -> str:
    card = judged_card(run)
    return visible(run.protocol.identity.id if card is None else card.name)


def judged_card(run: RunResults) -> ModelCard | None:
    """What is known of the classifier that was judged; None of predictions alone, or in an older harness's pack."""
    if run.training is not None:
        return run.training.card
    return run.model.card if run.model is not None else None


def _judged(run: RunResults) -> Iterator[tuple[str, Evaluation]]:
    """The test part and the external sets: what training knew says nothing to a stranger."""
    yield from (
        (name, each) for name, each in run.evaluations.items() if (name == "test" or name not in PARTS) and each.n
    )


def _result(name: str, found: Evaluation) -> dict[str, Any]:
    return {
        "task": dict(TASK),
        "dataset": {"name": visible(name), "type": "private", **({"split": name} if name in PARTS else {})},
        "metrics": [_metric(each) for each in _estimates(found)],
    }


def _estimates(found: Evaluation) -> Iterator[Estimate]:
    """Accuracy, macro F1 and the recall of each class that has cells, with intervals for display."""
    wanted: list[tuple[str, str | None]] = [("accuracy", None), ("macro_f1", None)]
    wanted += [("recall", name) for name, n in found.support.items() if n]
    for metric, cell_class in wanted:
        made = estimate(found, metric, cell_class=cell_class, level=DISPLAY_LEVEL)
        if not isinstance(made, Unavailable) and made.value is not None:
            yield made


def _metric(found: Estimate) -> dict[str, Any]:
    kind, how = AVERAGED.get(found.metric, (found.metric, {}))
    args: dict[str, Any] = dict(how) | ({} if found.cell_class is None else {"class": visible(found.cell_class)})
    return {
        "type": kind,
        "value": found.value,
        "name": visible(_told(found)),
        **({"args": args} if args else {}),
    }


def _told(found: Estimate) -> str:
    """Such as "recall of monocyte, 74/75, two-sided 95 % interval 0.9284 to 0.9976 (Wilson)"."""
    said = [found.metric.replace("_", " ") + (f" of {found.cell_class}" if found.cell_class is not None else "")]
    if found.k is not None:
        said.append(f"{found.k}/{found.n}")
    if found.display is not None:
        low, high = (wording.number(bound) for bound in (found.display.lower, found.display.upper))
        said.append(
            f"two-sided {wording.percent_of(found.display.level)} interval {low} to {high} ({found.display.method})"
        )
    return ", ".join(said)


# --- the text ---


def _body(run: RunResults, limits: Sequence[Limit], sums_digest: str) -> Iterator[str]:
    identity, card = run.protocol.identity, judged_card(run)
    yield f"\n# {plain(_name(run))}\n"
    yield f"**{plain(conclusion(run))}.**\n"
    yield f"{NO_CLAIM} Everything below is what one validation run showed, and is made from its evidence pack.\n"
    yield "## Use\n"
    yield f"{plain(identity.intended_use)}\n"
    yield from _study(run)
    yield "## What was judged\n"
    if card is None:
        yield "- predictions that existed before the run; no classifier was seen"
    else:
        yield f"- classifier: {code(card.name)}, {plain(card.door)}, digest {code(card.digest)}"
    yield f"- protocol: {plain(identity.title)} ({code(identity.id)}, digest {code(run.protocol.digest)})"
    yield f"- run: {code(run.run_id)}, {run.started_at}"
    yield "\n## Results\n"
    for name, each in _judged(run):
        yield from _table(name, _estimates(each))
    yield from _unknown(run)
    yield "## Criteria that did not pass\n"
    yield from _unmet(run)
    yield "\n## Limits\n"
    yield from (f"- {plain(limit.text)}" for limit in limits)
    yield "\n## Check it\n"
    yield f"`python -m harness verify PACK` checks the pack, whose `SHA256SUMS` has the SHA-256 `{sums_digest}`;"
    yield "`python -m harness card PACK --check FILE` checks that every number of this card is the pack's."


def _study(run: RunResults) -> Iterator[str]:
    said = run.protocol.study.said()
    yield from (f"- {wording.STUDY[key]}: {plain(text)}" for key, text in said.items())
    if missing := [name.lower() for key, name in wording.STUDY.items() if key not in said]:
        yield f"- not stated: {', '.join(missing)}"
    yield ""


def _table(name: str, found: Iterable[Estimate]) -> Iterator[str]:
    yield f"### {plain(name)}\n"
    yield "| metric | value | cells | interval for display |"
    yield "|---|---|---|---|"
    for each in found:
        what = each.metric.replace("_", " ") + (f" of {each.cell_class}" if each.cell_class is not None else "")
        cells = f"{each.k}/{each.n}" if each.k is not None else f"n = {each.n}"
        shown = each.display
        interval = "" if shown is None else f"{wording.share(shown.lower)} to {wording.share(shown.upper)}"
        yield f"| {plain(what)} | {wording.quantity(each.value, each.unit)} | {cells} | {interval} |"
    yield ""


def _unknown(run: RunResults) -> Iterator[str]:
    """What cells of classes that it does not know are taken for: an accuracy says nothing of these."""
    for name, answers in run.unknown.items():
        found, at = run.counted(answers), run.protocol.confident_at(name)
        correlation = run.protocol.clusters.intracluster_correlation
        share = confidently_known(found, at=at, intracluster_correlation=correlation, level=DISPLAY_LEVEL)
        yield f"### {plain(name)}: cells of classes that it does not know\n"
        yield f"Confidently called one that it knows, with a probability of {at:g} or more:\n"
        yield "| kind of cell | confidently called a known class | most often |"
        yield "|---|---|---|"
        rows = confused_with(found, run.protocol.dataset.classes, at=at)
        for each in rows:
            called = max(each.called, key=lambda known: each.called[known])
            often = f"{called} ({each.called[called]}/{each.n})"
            yield f"| {plain(each.kind)} | {each.n_confident}/{each.n} | {plain(often)} |"
        if isinstance(share, Estimate) and share.lower is not None and share.upper is not None:
            level = wording.percent_of(DISPLAY_LEVEL)
            of_all = f"{share.k}/{share.n}, one-sided {level} bounds {wording.share(share.lower)} to"
            yield f"\nAll: {of_all} {wording.share(share.upper)}."
        yield ""


def _unmet(run: RunResults) -> Iterator[str]:
    rows = [verdict for verdict in run.verdicts if not verdict.passed and not verdict.not_asked]
    for verdict in sorted(rows, key=lambda verdict: not verdict.criterion.required):
        required = "required" if verdict.criterion.required else "for information"
        told = (
            f"{verdict.criterion.id} {subject_of(verdict.criterion)}: {verdict.outcome} ({required}): {verdict.reason}"
        )
        yield f"- {plain(told)}"
    if not rows:
        yield "None."


class DifferingLine(NamedTuple):
    line: int
    written: str | None
    follows: str | None


def differing(written: str, expected: str) -> list[DifferingLine]:
    """The lines at which a card is not the one that follows from the pack; none where it is. None: no such line."""
    pairs = zip_longest(written.split("\n"), expected.split("\n"))
    return [DifferingLine(n, one, other) for n, (one, other) in enumerate(pairs, start=1) if one != other]
