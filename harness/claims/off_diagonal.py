"""Can misses and false alarms be laid off the diagonal, and in how many ways?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.claims.class_options import Option
from harness.claims.matrix_rules import Budget
from harness.claims.spans import Span
from harness.claims.tightened import Tightened


def _residual(tight: Tightened, vector: Sequence[Option]) -> tuple[list[int], list[int]]:
    rows, columns = [o.r for o in vector], [o.f for o in vector]
    for (i, j), count in tight.cells.items():
        rows[i] -= count
        columns[j] -= count
    return rows, columns


def flow_of(tight: Tightened, vector: Sequence[Option]) -> list[list[int]] | None:
    """Numbers off the diagonal with these row and column sums and the stated cells, by augmenting paths."""
    rows, columns = _residual(tight, vector)
    n = len(rows)
    if min(rows) < 0 or min(columns) < 0 or sum(rows) != sum(columns):
        return None
    placed = [[0] * n for _ in range(n)]
    for i in range(n):
        while rows[i]:
            # Breadth first from row i: rows reach every open column, columns give back what they hold.
            came: dict[int, tuple[int, int]] = {}
            seen, queue, end = {i}, [i], -1
            while queue and end < 0:
                row = queue.pop(0)
                for j in range(n):
                    if j in came or j == row or (row, j) in tight.cells:
                        continue
                    came[j] = (row, -1)
                    if columns[j]:
                        end = j
                        break
                    for other in range(n):
                        if placed[other][j] and other not in seen:
                            seen.add(other)
                            queue.append(other)
                            came[n + other] = (j, -1)
            if end < 0:
                return None
            path, j = [], end
            while True:
                row = came[j][0]
                path.append((row, j))
                if row == i:
                    break
                j = came[n + row][0]
                path.append((row, j))
            amount = min(rows[i], columns[end], *(placed[a][b] for a, b in path[1::2]))
            for step, (a, b) in enumerate(path):
                placed[a][b] += amount if step % 2 == 0 else -amount
            rows[i] -= amount
            columns[end] -= amount
    for (i, j), count in tight.cells.items():
        placed[i][j] = count
    return placed


def fillings_of(tight: Tightened, vector: Sequence[Option], budget: Budget) -> int:
    """How many ways there are to fill the cells off the diagonal."""
    rows, columns = _residual(tight, vector)
    if min(rows) < 0 or min(columns) < 0 or sum(rows) != sum(columns):
        return 0
    if tight.exclusive:
        return 1 if not any(rows) and not any(columns) else 0
    known: dict[tuple[int, tuple[int, ...]], int] = {}

    def fill(i: int, left: tuple[int, ...]) -> int:
        if i == len(rows):
            return 1 if not any(left) else 0
        if (i, left) not in known:
            budget.spend(20)
            total = 0
            for after in _spent(i, rows[i], left):
                total += fill(i + 1, after)
            known[i, left] = total
        return known[i, left]

    def _spent(i: int, amount: int, left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        open_columns = [j for j in range(len(left)) if j != i and (i, j) not in tight.cells]

        def spend(position: int, rest: int, state: list[int]) -> Iterator[tuple[int, ...]]:
            budget.spend(1)
            if rest == 0:
                yield tuple(state)
                return
            if position == len(open_columns):
                return
            j = open_columns[position]
            for take in range(min(rest, state[j]) + 1):
                state[j] -= take
                yield from spend(position + 1, rest - take, state)
                state[j] += take

        yield from spend(0, amount, list(left))

    return fill(0, tuple(columns))


def compositions(spans: Sequence[Sequence[Span]], n: Span, budget: Budget) -> int:
    """How many supports, one per class from its intervals, add up to an allowed n."""
    low, high = n
    assert high is not None
    counts = {0: 1}
    for own in spans:
        if len(own) == 1 and own[0][0] == own[0][1]:
            counts = {total + own[0][0]: ways for total, ways in counts.items() if total + own[0][0] <= high}
            continue
        budget.spend(2 * high)
        steps = [0] * (high + 2)
        for total, ways in counts.items():
            for least, most in own:
                first = total + least
                if first <= high:
                    steps[first] += ways
                    last = high if most is None else min(high, total + most)
                    steps[last + 1] -= ways
        counts, running = {}, 0
        for total in range(high + 1):
            running += steps[total]
            if running:
                counts[total] = running
    return sum(ways for total, ways in counts.items() if low <= total)
