"""How fast is the classifier on this machine?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from harness.core.load import share_of_others, used
from harness.metrics.estimates import Unavailable
from harness.model.images import files_of
from harness.model.records import Timing
from harness.model.scenarios import Scenario
from harness.model.scenarios import scenarios as scenarios_of
from harness.run.graph import Asking, Graph, stage
from harness.run.pacing import Pacer
from harness.run.settling import settled
from harness.run.stages.data import manifest, split
from harness.run.stages.model import card, classifier, source

Stopwatch = Callable[[Scenario], Iterable[float] | None]


@stage(manifest, split, classifier, source)
def scenarios(run: Asking) -> Mapping[tuple[str, str], Scenario]:
    """(scenario, span) -> what to time."""
    setting = run.setting
    files = [run(manifest).root / image.path for image in run(split).test]
    return scenarios_of(
        run(classifier),
        files_of(files, formats=setting.rules("dataset").formats),
        plan=setting.protocol.throughput,
        device=setting.device,
        opened=run(source, setting.protocol.training.seed).open,
    )


@stage(scenarios)
def timed(run: Asking, scenario: str, span: str) -> Timing:
    """The samples of one scenario on this run's device, as a stopwatch took them."""
    raise LookupError(f"nobody has timed {scenario} ({span}) yet")


def timing(run: Graph, scenario: str, span: str, stopwatch: Stopwatch) -> Timing | Unavailable:
    """The timing of one scenario on this run's device: measured once, then remembered.

    Args:
        stopwatch: times a scenario, and returns its samples in seconds; None where timing is switched off.
    """
    if (scenario, span) not in run.results(timed):
        asked = run(scenarios).get((scenario, span))
        if asked is None:
            reason = run(card).why_not({"prepared arrays"}) or f"{scenario} is not timed {span}"
            return Unavailable(reason, not_asked=True)
        asked = settled(asked, run.setting.protocol.throughput)
        before, pacer = used(), Pacer(asked)
        samples = stopwatch(replace(asked, before=pacer))
        if samples is None:
            return Unavailable("timing is switched off (--benchmark-disable)", waivable=False)
        shares, others = pacer.shares(), share_of_others(before, used())
        digests = [image.sha256 for image in run(split).test]
        found = asked.timing(asked.samples(tuple(samples)), digests=digests, others_share=others, block_shares=shares)
        run.enter(timed, found, scenario, span)
    return run(timed, scenario, span)
