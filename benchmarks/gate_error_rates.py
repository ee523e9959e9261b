"""How often does a classifier that is exactly at the threshold pass? Each gate may let it through in 5 % of test sets.

    python benchmarks/gate_error_rates.py

Draws 10,000 test sets for every gate and setting from a seeded generator and decides each by the functions the harness
decides by. Where the rate can be counted out exactly it is printed beside the simulated one. Rows under "for contrast"
are methods that no gate uses, and why. Exits 1 if a gate's rate is above 5 % by more than the simulation's own error.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import binom, norm

from harness.judge.criteria import parts_at
from harness.judge.rules import ALIKE_UNSOURCED, FEWEST_GROUPS
from harness.metrics.auroc import AreaBounds, auroc
from harness.metrics.clusters import clustered_bounds, equal_groups
from harness.metrics.favourable import chances, region_of
from harness.metrics.intervals import clopper_pearson_bounds, errors_allowed
from harness.metrics.macro import lowest_macro_f1
from harness.metrics.multiplicity import level_of_part
from harness.metrics.paired import (
    SEARCH_SLACK,
    favourable_region,
    largest_chance,
    non_inferiority_lower_bound,
    tango_bounds,
)
from harness.metrics.paired_groups import PairedGroups, effective_pairs, grouped_difference_bounds
from harness.metrics.predictive_values import ppv_at_prevalence
from harness.protocol.statistics import LooksPlan

N_SETS, SEED, LEVEL = 10_000, 20_260, 0.95
ALPHA = 1.0 - LEVEL
N_CELLS, N_CLASSES, PER_CLASS = 375, 5, 75
RHO, PER_PATIENT = 0.1, 10
N_CANDIDATES, LATENT = 30, 0.9
TEAM_SETS = ((75, 0.90), (375, 0.98), (2_500, 0.98))
SMALLER_SETS = ((375, 0.95), (150, 0.90))  # whose power is shown beside these
RULES = {
    "first-look of 30": LooksPlan(),
    "series": LooksPlan(correction="series"),
    "budget of 30": LooksPlan(correction="budget", budget=30),
    "budget of 10": LooksPlan(correction="budget", budget=10),
    "1/m (before)": LooksPlan(correction="look-number"),
    # So were looks counted, too, at a set of which one image was dropped or saved anew before each.
    "ignored": None,
}
UNBOUNDED = ("1/m (before)", "ignored")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. exact: the rate counted out, None where only simulation can tell; gate: must hold."""

    name: str
    setting: str
    passed: float
    exact: float | None = None
    gate: bool = True

    @property
    def too_often(self) -> bool:
        slack = 3.0 * math.sqrt(ALPHA * (1.0 - ALPHA) / N_SETS)
        return self.passed > ALPHA + slack or (self.exact is not None and self.exact > ALPHA + 1e-9)


def accuracy(rng: np.random.Generator) -> list[Row]:
    rows = []
    for floor in (0.95, 0.98):
        passes = _passing(N_CELLS, floor, LEVEL)
        wrong = rng.binomial(N_CELLS, 1 - floor, N_SETS)
        exact = _exact_binomial(N_CELLS, floor, LEVEL)
        rows.append(Row("accuracy", f"n {N_CELLS}, floor {floor}", float(passes[wrong].mean()), exact))
    return rows


def recall(rng: np.random.Generator) -> list[Row]:
    floor = 0.9
    passes = _passing(PER_CLASS, floor, LEVEL)
    wrong = rng.binomial(PER_CLASS, 1 - floor, (N_SETS, N_CLASSES))
    one = _exact_binomial(PER_CLASS, floor, LEVEL)
    return [
        Row("recall, one class", f"n {PER_CLASS}, floor {floor}", float(passes[wrong[:, 0]].mean()), one),
        Row("recall, all five", "one at the floor, four perfect", float(passes[wrong[:, 1]].mean()), one),
        Row("recall, all five", "all at the floor", float(passes[wrong].all(axis=1).mean()), one**N_CLASSES),
    ]


def non_inferiority(rng: np.random.Generator) -> list[Row]:
    rows, contrast = [], []
    for n in (150, 375):
        for margin in (0.02, 0.05):
            exact_region, tango_region = _gate_region(n, margin), favourable_region(-margin, n, z=norm.ppf(LEVEL))
            for discordant in (margin, 0.06, 0.1, 0.3):
                p_b, p_c = (discordant + margin) / 2, (discordant - margin) / 2
                results = rng.multinomial(n, [p_b, p_c, 1 - p_b - p_c], N_SETS)
                setting = f"n {n}, margin {margin}, differ on {discordant:.0%}"
                for name, region, rows_of in (
                    ("non-inferiority", exact_region, rows),
                    ("Tango's bound", tango_region, contrast),
                ):
                    passed = float((results[:, 1] >= region[results[:, 0]]).mean())
                    exact = float(chances(region_of(region), p_b=np.array([p_b]), p_c=np.array([p_c]))[0])
                    rows_of.append(Row(name, setting, passed, exact, gate=name == "non-inferiority"))
    return rows + contrast


def clustered_accuracy(rng: np.random.Generator) -> list[Row]:
    rows = []
    n_patients, rest = divmod(N_CELLS, PER_PATIENT)
    sizes = np.array([PER_PATIENT] * n_patients + [rest] * (rest > 0))
    groups = np.repeat(np.arange(sizes.size), sizes).tolist()

    @cache
    def lower_bound(wrong: tuple[int, ...]) -> float:
        correct = [cell >= errors for errors, size in zip(wrong, sizes, strict=True) for cell in range(size)]
        return clustered_bounds(correct, groups, assumed_correlation=RHO, level=LEVEL)[0]

    for floor, truth in ((0.95, RHO), (0.98, RHO), (0.95, 3 * RHO)):
        scale = 1 / truth - 1
        rates = rng.beta((1 - floor) * scale, floor * scale, (N_SETS, sizes.size))
        wrong = rng.binomial(sizes, rates)
        wrong[:, :n_patients] = np.sort(wrong[:, :n_patients], axis=1)  # whole patients are interchangeable
        setting = f"{sizes.size} patients, correlation {truth:.1f}, floor {floor}"
        with_effect = float(np.mean([lower_bound(tuple(row)) >= floor for row in wrong.tolist()]))
        as_independent = float(_passing(N_CELLS, floor, LEVEL)[wrong.sum(axis=1)].mean())
        name = "accuracy, design effect" if truth == RHO else f"correlation taken as {RHO}"
        rows.append(Row(name, setting, with_effect, gate=truth == RHO))
        rows.append(Row("cells as independent", setting, as_independent, gate=False))
    return rows


def few_groups(rng: np.random.Generator) -> str:
    """How often a classifier at its floor passes on the cells of patients, by what is assumed of them.

    stated: the protocol's 0.1 is taken at its word. now: the same protocol, which has no source for it: nothing passes
    on fewer than 20 patients, and what does has to hold up to 0.3. sourced: the true correlation, with a source.
    """
    n_sets = 2_000
    lines = [
        f"patients: {n_sets:,} test sets a row, passed by a classifier at the floor",
        f"  {'patients x cells':<22} {'floor':>6} {'correlation':>11} {'stated':>8} {'now':>8} {'sourced: true':>14}",
    ]
    for sizes in ([75] * 5, [37] * 10, [20] * 19, [19] * 20, [10] * 38, [4] * 100, [75] * 5 + [1] * 15):
        groups = np.repeat(np.arange(len(sizes)), sizes).tolist()
        closed = equal_groups(sizes) < FEWEST_GROUPS

        @cache
        def lower_bound(wrong: tuple[int, ...], assumed: float) -> float:
            correct = [cell >= errors for errors, size in zip(wrong, sizes, strict=True) for cell in range(size)]  # noqa: B023
            return clustered_bounds(correct, groups, assumed_correlation=assumed, level=LEVEL)[0]  # noqa: B023

        for floor, truth in ((f, t) for f in (0.9, 0.95) for t in (0.05, 0.1, 0.2, 0.3, 0.5)):
            scale = 1 / truth - 1
            wrong = rng.binomial(sizes, rng.beta((1 - floor) * scale, floor * scale, (n_sets, len(sizes))))
            if len(set(sizes)) == 1:
                wrong = np.sort(wrong, axis=1)  # patients of one size are interchangeable
            # No bound is above the rate that was seen, so the other rows need none.
            hopeful = [tuple(row) for row in wrong.tolist() if sum(row) < (1 - floor) * sum(sizes)]
            stated, true, alike = (
                sum(lower_bound(row, assumed) >= floor for row in hopeful) / n_sets
                for assumed in (RHO, truth, ALIKE_UNSOURCED)
            )
            now = 0.0 if closed else alike
            what = f"{len(sizes)} x {sizes[0]}" if len(set(sizes)) == 1 else f"5 x {sizes[0]} and 15 x 1"
            lines.append(f"  {what:<22} {floor:>6} {truth:>11} {stated:>8.1%} {now:>8.1%} {true:>14.1%}")
    return "\n".join(lines)


def grouped_differences(rng: np.random.Generator) -> str:
    """How often a candidate that is worse by exactly the margin passes the paired gate on the cells of patients.

    In each patient the candidate loses cells at a rate of its own, and gains at another. pairs: cells as independent
    pairs, as the gate counted before. stated: 0.1 taken at its word; now: without a source it has to hold up to 0.3.
    """
    n_sets = 500
    lines = [
        f"paired gate over patients: {n_sets:,} test sets a row, passed by a candidate worse by exactly the margin",
        f"  {'patients x cells':<18} {'margin':>7} {'differ on':>10} {'correlation':>11} {'pairs':>8} "
        f"{'stated':>8} {'now':>8}",
    ]
    for n_groups, size in ((20, 19), (38, 10)):
        sizes = np.full(n_groups, size)
        for margin, gain in ((0.02, 0.005), (0.05, 0.01), (0.05, 0.05)):
            region = _gate_region(int(sizes.sum()), margin)
            for truth in (0.1, 0.3):
                scale = 1 / truth - 1
                shares = rng.dirichlet(
                    np.array([margin + gain, gain, 1 - margin - 2 * gain]) * scale, (n_sets, n_groups)
                )
                counts = rng.multinomial(size, shares)
                lost, gained = counts[..., 0], counts[..., 1]
                pairs = gained.sum(axis=1) >= region[lost.sum(axis=1)]
                stated, now = (
                    sum(_passes_over_groups(sizes, lost[r], gained[r], margin, assumed) for r in np.flatnonzero(pairs))
                    for assumed in (RHO, ALIKE_UNSOURCED)
                )
                row = f"  {f'{n_groups} x {size}':<18} {margin:>7} {margin + 2 * gain:>10.0%} {truth:>11}"
                lines.append(f"{row} {pairs.mean():>8.1%} {stated / n_sets:>8.1%} {now / n_sets:>8.1%}")
    return "\n".join(lines)


def _passes_over_groups(sizes: np.ndarray, lost: np.ndarray, gained: np.ndarray, margin: float, assumed: float) -> bool:
    groups = PairedGroups(sizes, lost, gained)
    share = effective_pairs(groups, assumed_correlation=assumed) / sizes.sum()
    counts = lost.sum() * share, gained.sum() * share, sizes.sum() * share
    if tango_bounds(*counts, level=LEVEL)[0] <= -margin - 0.002:
        return False  # where the score bound is well below, the exact one, which takes half a second, is too
    return grouped_difference_bounds(groups, assumed_correlation=assumed, level=LEVEL)[0] > -margin


def copies(rng: np.random.Generator) -> str:
    """How often a classifier at the floor passes where cells of a set are copies, counted as cells and as pictures."""
    floor = 0.9
    lines = [
        f"copies inside a set: {N_SETS:,} sets a row, floor {floor}, passed by a classifier at the floor",
        f"  {'pictures x copies':<22} {'as cells':>9} {'as pictures':>12}",
    ]
    for n_pictures, n_copies in ((5, 9), (5, 40), (40, 9), (75, 1), (75, 2), (150, 5)):
        wrong = rng.binomial(n_pictures, 1 - floor, N_SETS)  # a classifier says the same of every copy
        as_cells = _passing(n_pictures * n_copies, floor, LEVEL)[wrong * n_copies].mean()
        as_pictures = _passing(n_pictures, floor, LEVEL)[wrong].mean()
        lines.append(f"  {f'{n_pictures} x {n_copies}':<22} {as_cells:>9.1%} {as_pictures:>12.1%}")
    return "\n".join(lines)


def predictive_values(rng: np.random.Generator) -> str:
    """How often the bounds of a predictive value miss the true one, and what they prove without an error."""
    n_sets, classes = 1_000, tuple("abcde")
    lines = [
        f"predictive value of class a: {n_sets:,} test sets a row, misses of each bound at {LEVEL}",
        f"  {'cells a class':<24} {'share of a':>10} {'recall':>7} {'others called a':>24} {'lower':>7} {'upper':>7}",
    ]
    for shares in ((0.01, 0.03, 0.3, 0.06, 0.6), (0.2,) * 5, (0.6, 0.3, 0.06, 0.03, 0.01)):
        prevalence = dict(zip(classes, shares, strict=True))
        for sizes in ((75,) * 5, (20, 60, 90, 72, 174), (500,) * 5):
            for own, others in ((1.0, (0.005,) * 4), (0.95, (0.05, 0.0, 0.0, 0.0)), (0.8, (0.1,) * 4)):
                true, false = shares[0] * own, float(np.dot(shares[1:], others))
                truth, missed = true / (true + false), np.zeros(2)
                for called in rng.binomial(sizes, (own, *others), (n_sets, 5)):
                    table = np.zeros((5, 5), dtype=np.int64)
                    table[:, 0], table[:, 1] = called, np.array(sizes) - called
                    found = ppv_at_prevalence(table, classes, prevalence, level=LEVEL)[0]
                    if found.lower is not None and found.upper is not None:
                        missed += (found.lower > truth, found.upper < truth)
                low, high = missed / n_sets
                what = f"  {sizes!s:<24} {shares[0]:>10} {own:>7} {others!s:>24}"
                lines.append(f"{what} {low:>7.1%} {high:>7.1%}")
    return "\n".join(lines)


def areas(rng: np.random.Generator) -> str:
    """How often the lower bound of an area under the ROC curve is above the true one, by how it was made."""
    n_sets = 1_000
    methods: tuple[AreaBounds, ...] = ("proportion", "DeLong")
    lines = [
        f"area under the ROC curve: {n_sets:,} sets a row, lower bounds at {LEVEL} above the true area",
        f"  {'scores':<24} {'area':>6} {'inputs':>10} {'proportion':>11} {'DeLong':>8}",
    ]
    for area in (0.8, 0.9, 0.95, 0.99, 0.995):
        for sizes in ((20, 150), (400, 375)):
            for name, draw in _scores_of(rng, area, sizes).items():
                drawn = [draw() for _ in range(n_sets)]
                missed = [sum(auroc(*each, level=LEVEL, by=by).lower > area for each in drawn) for by in methods]
                rates = " ".join(f"{each / n_sets:>10.1%}" for each in missed)
                lines.append(f"  {name:<24} {area:>6} {sizes[0]:>5}/{sizes[1]:<4} {rates}")
    return "\n".join(lines)


def areas_of_patients(rng: np.random.Generator) -> str:
    """The same where the cells are of patients: counted as independent, and by patient at both assumed correlations."""
    n_sets, n_inputs = 1_000, 200
    lines = [
        f"area under the ROC curve, {n_inputs} inputs against cells of patients: {n_sets:,} sets a row",
        f"  {'patients x cells':<18} {'area':>6} {'true':>5} {'independent':>12} {RHO:>6} {ALIKE_UNSOURCED:>6}",
    ]
    for area in (0.9, 0.97):
        shift = float(norm.ppf(area)) * math.sqrt(2)
        for n, size in ((20, 19), (38, 10), (100, 4)):
            patients = np.repeat(np.arange(n), size)
            for true in (0.0, 0.1, 0.3, 0.5):
                missed = np.zeros(3, dtype=int)
                for _ in range(n_sets):
                    noise = rng.normal(size=n)[patients] * math.sqrt(true)
                    cells = noise + rng.normal(size=n * size) * math.sqrt(1 - true)
                    inputs = rng.normal(shift, 1, n_inputs)
                    for place, rho in enumerate((None, RHO, ALIKE_UNSOURCED)):
                        groups = None if rho is None else patients.tolist()
                        found = auroc(inputs, cells, level=LEVEL, groups=groups, assumed_correlation=rho or 0.0)
                        missed[place] += found.lower > area
                alone, low, high = missed / n_sets
                lines.append(f"  {n:>8} x {size:<7} {area:>6} {true:>5} {alone:>12.1%} {low:>6.1%} {high:>6.1%}")
    return "\n".join(lines)


def _scores_of(
    rng: np.random.Generator, area: float, sizes: tuple[int, int]
) -> dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]]:
    """Kind of scores -> draws those of (positives, negatives) whose area is this one."""
    n, m = sizes

    def normal(spread: float) -> tuple[np.ndarray, np.ndarray]:
        shift = float(norm.ppf(area)) * math.sqrt(1 + spread**2)
        return rng.normal(shift, spread, n), rng.normal(0, 1, m)

    def some_below() -> tuple[np.ndarray, np.ndarray]:
        return np.where(rng.random(n) < 1 - area, -10.0, rng.normal(10, 1, n)), rng.normal(0, 1, m)

    return {
        "normal, equal spread": lambda: normal(1.0),
        "normal, spread 0.3": lambda: normal(0.3),
        "normal, spread 3": lambda: normal(3.0),
        "exponential": lambda: (-rng.exponential(1, n), -rng.exponential(area / (1 - area), m)),
        "right or wrong": lambda: ((rng.random(n) < area) * 1.0, (rng.random(m) < 1 - area) * 1.0),
        "some below all others": some_below,
    }


def looks(rng: np.random.Generator) -> list[Row]:
    """A team gates one candidate after the other on one test part, each exactly at the floor, until one passes."""
    rows, contrast = [], []
    for n, floor in TEAM_SETS:
        for latent in (0.0, LATENT):
            wrong = _errors_of_a_team(rng, n, floor, latent)
            how = f"correlated {latent}" if latent else "independent"
            setting = f"one of {N_CANDIDATES} passes, {how}, n {n}, floor {floor}"
            for rule, plan in RULES.items():
                allowed = _allowed_by_look(n, floor, plan)
                passed = float((wrong <= allowed).any(axis=1).mean())
                each = binom.cdf(allowed, n, 1 - floor)
                exact = None if latent else 1 - float(np.prod(1 - each))
                bounded = rule not in UNBOUNDED
                (rows if bounded else contrast).append(Row(f"looks, {rule}", setting, passed, exact, gate=bounded))
    return rows + contrast


def _errors_of_a_team(rng: np.random.Generator, n: int, floor: float, latent: float) -> np.ndarray:
    """(sets, candidates) errors. latent: correlation of what makes a cell hard for one candidate and for another."""
    if not latent:
        return rng.binomial(n, 1 - floor, (N_SETS, N_CANDIDATES))
    threshold = np.float32(norm.ppf(1 - floor))
    wrong = np.empty((N_SETS, N_CANDIDATES), dtype=np.int64)
    for row in range(N_SETS):
        shared = np.float32(math.sqrt(latent)) * rng.standard_normal((n, 1), dtype=np.float32)
        own = np.float32(math.sqrt(1 - latent)) * rng.standard_normal((n, N_CANDIDATES), dtype=np.float32)
        wrong[row] = (shared + own < threshold).sum(axis=0)
    return wrong


def _allowed_by_look(n: int, floor: float, plan: LooksPlan | None) -> np.ndarray:
    """The most errors that pass at each look; -1 where nothing does. plan: None where looks are ignored."""
    allowed = []
    for look in range(1, N_CANDIDATES + 1):
        parts = 1 if plan is None else parts_at(look, plan)
        passes = None if parts is None else _passing(n, floor, level_of_part(level=LEVEL, parts=parts))
        allowed.append(-1 if passes is None else int(passes.sum()) - 1)
    return np.array(allowed)


def power_of_looks() -> str:
    """What each rule leaves of the power: a candidate with a quarter of the errors that the floor allows, by look."""
    shown = (1, 2, 3, 5, 10, 20, 30)
    lines = ["power by look, exact: a candidate with a quarter of the floor's errors passes (share of test sets)"]
    lines.append(f"  {'':<24} {'':<20}" + "".join(f"{look:>7}" for look in shown) + "   mean of 30   last, flawless")
    for n, floor in TEAM_SETS + SMALLER_SETS:
        for rule, plan in RULES.items():
            allowed = _allowed_by_look(n, floor, plan)
            power = binom.cdf(allowed, n, (1 - floor) / 4)
            last = int(np.count_nonzero(allowed >= 0))
            cells = "".join(f"{power[look - 1]:>7.2f}" for look in shown)
            beyond = f"{last} or more" if last == N_CANDIDATES else last
            lines.append(f"  {rule:<24} {f'n {n}, floor {floor}':<20}{cells} {power.mean():>12.2f}   {beyond}")
    return "\n".join(lines)


def macro_f1(rng: np.random.Generator) -> list[Row]:
    """At the floor in three ways: errors everywhere, in one class only, and in the arrangement worst for macro-F1."""
    rows = []
    bounds = np.array([_macro_bound(errors) for errors in range(61)])
    for name, missed, called in (
        ("errors spread evenly", np.full(N_CLASSES, 1 / N_CLASSES), np.full(N_CLASSES, 1 / N_CLASSES)),
        ("one class into one other", np.eye(N_CLASSES)[0], np.eye(N_CLASSES)[1]),
        ("one class into all others", np.eye(N_CLASSES)[0], np.array([0, 1, 1, 1, 1]) / 4),
    ):
        for share in (0.02, 0.05):
            errors = share * N_CELLS
            a, b = missed * errors, called * errors
            floor = float(np.mean(2 * (PER_CLASS - a) / (2 * PER_CLASS - a + b)))
            wrong = rng.binomial(PER_CLASS, a / PER_CLASS, (N_SETS, N_CLASSES)).sum(axis=1)
            passes = bounds >= floor
            mass = np.array([1.0])
            for rate in a / PER_CLASS:
                mass = np.convolve(mass, binom.pmf(np.arange(PER_CLASS + 1), PER_CLASS, rate))
            exact = float(mass[: passes.size][passes].sum())
            passed = float(passes[np.minimum(wrong, passes.size - 1)].mean())
            rows.append(Row("macro-F1, projected", f"{name}, floor {floor:.4f}", passed, exact))
    return rows


def _passing(n: int, floor: float, level: float) -> np.ndarray:
    """Whether each number of errors, 0 to n, passes."""
    allowed = errors_allowed(n, floor=floor, level=level)
    passes = np.arange(n + 1) <= (-1 if allowed is None else allowed)
    if allowed is not None:  # the lookup is the gate
        assert clopper_pearson_bounds(n - allowed, n, level=level)[0] >= floor
        assert clopper_pearson_bounds(n - allowed - 1, n, level=level)[0] < floor
    return passes


def _exact_binomial(n: int, floor: float, level: float) -> float:
    return float(binom.pmf(np.arange(n + 1), n, 1 - floor)[_passing(n, floor, level)].sum())


@cache
def _gate_region(n: int, margin: float) -> np.ndarray:
    """For each b the smallest c that passes the gate `non_inferiority_lower_bound(b, c, n) > -margin`.

    The exact bound ranks results as Tango's does, so what passes is everything from some Tango bound on. A result
    passes if all results ranked at least as high together have less than 5 % at a true difference of -margin.
    """
    z, low, high = float(norm.ppf(LEVEL)), -1.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        size = largest_chance(region_of(favourable_region(middle, n, z=z)), difference=-margin) + SEARCH_SLACK
        low, high = (low, middle) if size < ALPHA else (middle, high)
    region = favourable_region(high, n, z=z)
    for b in range(0, n // 3, max(1, n // 15)):  # the shortcut is the gate
        if region[b] <= n - b:
            assert non_inferiority_lower_bound(b, int(region[b]), n, level=LEVEL) > -margin
        if 0 < region[b] <= n - b + 1:
            assert non_inferiority_lower_bound(b, int(region[b]) - 1, n, level=LEVEL) <= -margin
    return region


def sizes() -> str:
    """The largest false-pass rate over all discordance rates, exactly: a simulation could miss the worst."""
    lines = [f"largest rate over all discordance rates, exact\n  {'':<24} {'gate':>9} {'Tango':>9}"]
    for n in (75, 150, 375):
        for margin in (0.01, 0.02, 0.03, 0.05):
            regions = _gate_region(n, margin), favourable_region(-margin, n, z=float(norm.ppf(LEVEL)))
            gate, tango = (largest_chance(region_of(region), difference=-margin) for region in regions)
            lines.append(f"  {f'n {n}, margin {margin}':<24} {gate:>9.4%} {tango:>9.4%}")
    return "\n".join(lines)


def _macro_bound(errors: int) -> float:
    n = PER_CLASS * N_CLASSES
    return lowest_macro_f1((PER_CLASS,) * N_CLASSES, n * clopper_pearson_bounds(errors, n, level=LEVEL)[1])


def report(rows: list[Row]) -> str:
    lines = []
    for title, wanted in (("gates: at most 5 %", True), ("for contrast, used by no gate", False)):
        lines += [title, f"  {'':<24} {'':<55} {'simulated':>9} {'exact':>8}"]
        for row in rows:
            if row.gate is wanted:
                exact = "" if row.exact is None else f"{row.exact:.4%}"
                remark = "  above 5 %" if row.too_often else ""
                lines.append(f"  {row.name:<24} {row.setting:<55} {row.passed:>9.2%} {exact:>8}{remark}")
    return "\n".join(lines)


def main() -> int:
    rng = np.random.default_rng(SEED)
    parts: tuple[Callable[[np.random.Generator], list[Row]], ...] = (
        accuracy,
        recall,
        non_inferiority,
        clustered_accuracy,
        looks,
        macro_f1,
    )
    rows = [row for part in parts for row in part(rng)]
    print(f"{N_SETS:,} test sets a row, seed {SEED}, level {LEVEL}; the classifier is exactly at the threshold")
    print(report(rows))
    print(power_of_looks())
    print(sizes())
    print(few_groups(np.random.default_rng(SEED)))
    print(grouped_differences(np.random.default_rng(SEED)))
    print(copies(np.random.default_rng(SEED)))
    print(predictive_values(np.random.default_rng(SEED)))
    print(areas(np.random.default_rng(SEED)))
    print(areas_of_patients(np.random.default_rng(SEED)))
    return int(any(row.too_often for row in rows if row.gate))


if __name__ == "__main__":
    sys.exit(main())
