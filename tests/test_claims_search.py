"""The search for confusion matrices: the worked example, and brute force as the second witness."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import networkx
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims.class_options import Option, options
from harness.claims.conflicts import find_conflicts
from harness.claims.matrix_rules import Answer, AverageRule, ClassRule, MatrixQuestion
from harness.claims.records import Printed, printed
from harness.claims.search import count_matrices, feasible, first_matrix


def band(text: str) -> tuple[Fraction, Fraction]:
    share = printed(text)
    assert share is not None
    return share.band("nearest")


def row(precision: str, recall: str, f1: str, support: int | None = None) -> ClassRule:
    span = (0, None) if support is None else (support, support)
    return ClassRule(span, band(precision), band(recall), band(f1))


BASOPHIL, NEUTROPHIL = ("0.9733", "1.0000", "0.9865"), ("1.0000", "0.9733", "0.9865")
PERFECT = ("1.0000", "1.0000", "1.0000")


def table(*supports: int | None) -> tuple[ClassRule, ...]:
    rows = (BASOPHIL, PERFECT, PERFECT, PERFECT, NEUTROPHIL)
    return tuple(row(*shares, support) for shares, support in zip(rows, supports, strict=True))


# --- the worked example of the reference ----------------------------------------------------------


def test_the_printed_table_has_exactly_one_matrix():
    question = MatrixQuestion(table(73, 75, 75, 75, 75))
    assert count_matrices(question) == {2: 1}
    matrix = first_matrix(question)
    assert matrix is not None
    assert [matrix[k][k] for k in range(5)] == [73, 75, 75, 75, 73]
    assert matrix[4][0] == 2


@pytest.mark.parametrize(
    "question",
    [MatrixQuestion(table(73, 75, 75, 75, 75), n=(375, 375)), MatrixQuestion(table(75, 75, 75, 75, 75))],
    ids=["printed supports, n = 375", "75 per class"],
)
def test_the_other_readings_of_the_table_have_none(question):
    assert count_matrices(question) == {}
    assert feasible(question) is Answer.INFEASIBLE


def test_free_supports_leave_two_families():
    question = MatrixQuestion(table(*[None] * 5), n=(375, 375))
    assert count_matrices(question) == {2: 25_425, 4: 3_003}


def test_the_printed_accuracy_leaves_the_first_family():
    question = MatrixQuestion(table(*[None] * 5), n=(375, 375), accuracy=band("99.47%"))
    assert count_matrices(question) == {2: 25_425}


def test_a_perfect_share_can_hide_one_error_from_20000_cells_on():
    hidden = [
        MatrixQuestion((ClassRule((n, n), recall=band("1.0000")), ClassRule((9, 9))), errors=(1, 1), cells=((0, 1, 1),))
        for n in (19_999, 20_000)
    ]
    assert [feasible(question) for question in hidden] == [Answer.INFEASIBLE, Answer.FEASIBLE]


# --- brute force ----------------------------------------------------------------------------------


def all_matrices(n_classes: int, n: int) -> list[tuple[tuple[int, ...], ...]]:
    def fill(cells: int, left: int) -> list[tuple[int, ...]]:
        if cells == 1:
            return [(left,)]
        return [(first, *rest) for first in range(left + 1) for rest in fill(cells - 1, left - first)]

    return [
        tuple(flat[i * n_classes : (i + 1) * n_classes] for i in range(n_classes)) for flat in fill(n_classes**2, n)
    ]


def shares_of(matrix: tuple[tuple[int, ...], ...], k: int) -> tuple[Fraction, Fraction, Fraction]:
    """What scikit-learn prints: a share that does not exist is 0."""
    t, s, q = matrix[k][k], sum(matrix[k]), sum(line[k] for line in matrix)
    return tuple(Fraction(a, b) if b else Fraction(0) for a, b in ((t, q), (t, s), (2 * t, s + q)))  # type: ignore[return-value]


def satisfies(matrix: tuple[tuple[int, ...], ...], question: MatrixQuestion) -> bool:
    k = len(matrix)
    n, right = sum(map(sum, matrix)), sum(matrix[i][i] for i in range(k))

    def within(value: Fraction, wanted: tuple[Fraction, Fraction] | None) -> bool:
        return wanted is None or wanted[0] <= value <= wanted[1]

    def in_span(value: int, span: tuple[int, int | None]) -> bool:
        return span[0] <= value and (span[1] is None or value <= span[1])

    for i, rule in enumerate(question.rules):
        support, called = sum(matrix[i]), sum(line[i] for line in matrix)
        precision, recall, f1 = shares_of(matrix, i)
        if not (within(precision, rule.precision) and within(recall, rule.recall) and within(f1, rule.f1)):
            return False
        if not in_span(support, rule.support):
            return False
        counts = (
            (rule.false_negatives, support - matrix[i][i]),
            (rule.false_positives, called - matrix[i][i]),
            (rule.correct, matrix[i][i]),
            (rule.predicted, called),
        )
        if any(wanted is not None and wanted != got for wanted, got in counts):
            return False
    for average in question.averages:
        weights = [sum(line) for line in matrix] if average.weighted else [1] * k
        for position, wanted in enumerate((average.precision, average.recall, average.f1)):
            mean = sum((w * shares_of(matrix, i)[position] for i, w in enumerate(weights)), Fraction(0)) / sum(weights)
            if not within(mean, wanted):
                return False
    stated = {(i, j): count for i, j, count in question.cells}
    if any(matrix[i][j] != count for (i, j), count in stated.items()):
        return False
    if question.exclusive and any(
        matrix[i][j] and (i, j) not in stated for i, j in product(range(k), repeat=2) if i != j
    ):
        return False
    return (
        in_span(n, question.n) and in_span(n - right, question.errors) and within(Fraction(right, n), question.accuracy)
    )


MATRICES = {(2, 7): all_matrices(2, 7), (2, 12): all_matrices(2, 12), (3, 5): all_matrices(3, 5)}


def rounded(share: Fraction, decimals: int) -> tuple[Fraction, Fraction]:
    unit = Fraction(1, 10**decimals)
    return Printed("", round(share / unit) * unit, unit).band("nearest")


@st.composite
def questions(draw: st.DrawFn) -> tuple[tuple[int, int], MatrixQuestion]:
    """Statements of two random matrices mixed: some questions have an answer, many have none."""
    size = draw(st.sampled_from(sorted(MATRICES)))
    k, n = size
    first, second = (draw(st.sampled_from(MATRICES[size])) for _ in range(2))
    decimals = draw(st.integers(1, 4))
    rules = []
    for i in range(k):
        source = draw(st.sampled_from([first, first, second]))
        shares = [rounded(share, decimals) if draw(st.booleans()) else None for share in shares_of(source, i)]
        support = sum(source[i])
        called = sum(line[i] for line in source)
        rules.append(
            ClassRule(
                (support, support) if draw(st.booleans()) else (0, None),
                *shares,
                false_negatives=support - source[i][i] if draw(st.integers(0, 4)) == 0 else None,
                false_positives=called - source[i][i] if draw(st.integers(0, 4)) == 0 else None,
                predicted=called if draw(st.integers(0, 6)) == 0 else None,
            )
        )
    source = draw(st.sampled_from([first, second]))
    errors = n - sum(source[i][i] for i in range(k))
    cells: tuple[tuple[int, int, int], ...] = ()
    exclusive = False
    if draw(st.integers(0, 3)) == 0:
        off = [(i, j, source[i][j]) for i, j in product(range(k), repeat=2) if i != j]
        exclusive = draw(st.booleans())
        cells = tuple(cell for cell in off if cell[2]) if exclusive else (draw(st.sampled_from(off)),)
    averages: tuple[AverageRule, ...] = ()
    if draw(st.integers(0, 3)) == 0 and all(rule.support[1] is not None for rule in rules):
        macro = sum((shares_of(source, i)[0] for i in range(k)), Fraction(0)) / k
        averages = (AverageRule(False, rounded(macro, decimals), None, None),)
    return size, MatrixQuestion(
        tuple(rules),
        n=(n, n),
        errors=(errors, errors) if draw(st.booleans()) else (0, None),
        accuracy=rounded(1 - Fraction(errors, n), decimals) if draw(st.booleans()) else None,
        cells=cells,
        exclusive=exclusive,
        averages=averages,
    )


@settings(max_examples=examples(400), deadline=None)
@given(asked=questions())
def test_the_search_agrees_with_trying_every_matrix(asked):
    size, question = asked
    fitting = [matrix for matrix in MATRICES[size] if satisfies(matrix, question)]
    assert feasible(question) is (Answer.FEASIBLE if fitting else Answer.INFEASIBLE)
    if not question.averages or all(rule.support[1] is not None for rule in question.rules):
        counts = count_matrices(question)
        assert counts is not None
        assert sum(counts.values()) == len(fitting)


@given(
    rows=st.lists(st.integers(0, 6), min_size=2, max_size=5),
    columns=st.lists(st.integers(0, 6), min_size=2, max_size=5),
)
def test_numbers_off_the_diagonal_exist_exactly_when_the_lemma_says(rows, columns):
    # Second witness: networkx's maximum flow from rows to columns without the diagonal.
    k = min(len(rows), len(columns))
    rows, columns = rows[:k], columns[:k]
    graph = networkx.DiGraph()
    graph.add_nodes_from(["source", "sink"])
    for i in range(k):
        graph.add_edge("source", ("row", i), capacity=rows[i])
        graph.add_edge(("column", i), "sink", capacity=columns[i])
        for j in range(k):
            if i != j:
                graph.add_edge(("row", i), ("column", j), capacity=100)
    flow = networkx.maximum_flow_value(graph, "source", "sink")
    exists = sum(rows) == sum(columns) == flow
    errors = sum(rows)
    assert exists == (sum(columns) == errors and all(r + f <= errors for r, f in zip(rows, columns, strict=True)))
    question = MatrixQuestion(
        tuple(ClassRule((9, 9), false_negatives=r, false_positives=f) for r, f in zip(rows, columns, strict=True))
    )
    assert feasible(question) is (Answer.FEASIBLE if exists else Answer.INFEASIBLE)
    assert (first_matrix(question) is not None) == exists


@settings(deadline=None)
@given(
    rule=st.builds(
        ClassRule,
        precision=st.sampled_from([None, *map(band, ("0.50", "0.67", "1.00", "0.0", "0.8"))]),
        recall=st.sampled_from([None, *map(band, ("0.50", "0.75", "1.00", "0.00", "0.9"))]),
        f1=st.sampled_from([None, *map(band, ("0.57", "0.67", "1.0", "0.0"))]),
    )
)
def test_the_options_of_a_class_are_the_triples_that_print_so(rule):
    def prints(s: int, r: int, f: int) -> bool:
        t, q = s - r, s - r + f
        shares = [Fraction(a, b) if b else Fraction(0) for a, b in ((t, q), (t, s), (2 * t, s + q))]
        wanted = (rule.precision, rule.recall, rule.f1)
        return t >= 0 and all(b is None or b[0] <= v <= b[1] for v, b in zip(shares, wanted, strict=True))

    found = {(o.r, o.f): o.supports for o in options(rule, 5)}
    for r, f, s in product(range(6), range(6), range(25)):
        if r + f <= 5:
            inside = any(low <= s and (high is None or s <= high) for low, high in found.get((r, f), ()))
            assert inside == prints(s, r, f), (r, f, s)


# --- size -----------------------------------------------------------------------------------------


def test_twenty_classes_and_ten_thousand_cells_are_decided():
    supports = [500] * 20
    rules = tuple(ClassRule((s, s), band("0.95"), band("0.95"), band("0.95")) for s in supports)
    assert feasible(MatrixQuestion(rules, accuracy=band("95.0%"))) is Answer.FEASIBLE
    assert feasible(MatrixQuestion(rules, accuracy=band("90.0%"))) is Answer.INFEASIBLE


def test_a_question_that_is_too_big_is_not_decided_and_ends():
    rules = tuple(ClassRule(precision=band("0.5"), recall=band("0.5"), f1=band("0.5")) for _ in range(12))
    assert feasible(MatrixQuestion(rules, n=(10_000, 10_000), accuracy=band("0.5"))) is Answer.UNDECIDED


def test_options_are_records():
    assert options(ClassRule((75, 75), recall=band("1.0000"), precision=band("0.9740")), 9) == (
        Option(0, 2, ((75, 75),)),
    )


# --- conflicts --------------------------------------------------------------------------------------


@given(data=st.data(), n=st.integers(1, 7))
def test_the_lists_of_conflicts_are_those_of_trying_every_group(data, n):
    planted = data.draw(st.lists(st.frozensets(st.integers(0, n - 1), min_size=1), max_size=5))
    groups = [frozenset(i for i in range(n) if mask >> i & 1) for mask in range(1 << n)]

    def contradicts(group):
        return any(core <= group for core in planted)

    bad = [group for group in groups if contradicts(group)]
    good = [group for group in groups if not contradicts(group)]
    found = find_conflicts(n, contradicts)
    assert found.complete
    assert set(found.minimal) == {g for g in bad if not any(other < g for other in bad)}
    assert set(found.maximal) == {g for g in good if not any(g < other for other in good)}
