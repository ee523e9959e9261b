"""What does a line say of how the data was split, and of how many classes a set covers?"""

from __future__ import annotations

import re


def coverage_of(line: str) -> tuple[int, int] | None:
    match = re.search(r"\b(\d+)\s+(?:out\s+)?of\s+(?:the\s+)?(\d+)\s+(?:\w+\s+)?class(?:es)?\b", line, re.IGNORECASE)
    if match and int(match[1]) <= int(match[2]):
        return int(match[1]), int(match[2])
    return None


def ratios_of(line: str) -> tuple[int, ...]:
    match = re.search(r"(?<![\d/.])(\d{1,2})\s*/\s*(\d{1,2})\s*/\s*(\d{1,2})(?![\d/])", line)
    named = re.search(r"train\w*\W+val\w*\W+test", line, re.IGNORECASE)
    if match and named:
        ratios = tuple(int(match[i]) for i in (1, 2, 3))
        if sum(ratios) == 100:
            return ratios
    return ()
