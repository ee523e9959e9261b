"""The page of the documentation that lists every metric: made from the table, so that it cannot lag behind it."""

from __future__ import annotations

from harness.metrics.metric import Metric
from harness.metrics.table import metrics_of
from harness.protocol.questions import QUESTIONS

HEADER = """# Metrics

Made from the table of metrics by `python -m harness metrics`; a test holds this page current. A criterion of the
protocol names a question, one of its metrics and a set; a metric *per class* also takes `cell_class`, one *per
corruption* or *per column* takes `kind`. A floor acts on the lower bound, a ceiling on the upper.
"""


def metrics_page() -> str:
    """Markdown: for each question its sets, its gate and its metrics."""
    parts = [HEADER]
    for question in QUESTIONS.values():
        sets = [*map("`{}`".format, question.sets), *(["an external set"] if question.on_external else [])]
        gates = " and ".join(f"`{gate}`" for gate in (question.gate, question.gate_per_class) if gate)
        parts.append(f"## {question.name}\n\nAsked of {', '.join(sets)}; judged at gate {gates}.\n")
        parts.append("| metric | what it is | unit | criterion | per | needs |\n|---|---|---|---|---|---|")
        parts += [*map(_row, metrics_of(question.name)), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def _row(metric: Metric) -> str:
    bound = "none: reported" if not metric.bounded else "floor" if metric.higher_is_better else "ceiling"
    needs = [*sorted(metric.needs), *([f"table `{metric.protocol_table}`"] if metric.protocol_table else [])]
    needs += [f"table `{metric.kinds.table}`"] if metric.kinds else []
    needs += [f"set `{name}`" for name in metric.sets]
    cells = (f"`{metric.name}`", metric.meaning, metric.unit, bound, metric.per, ", ".join(needs) or "the images")
    return f"| {' | '.join(cells)} |"
