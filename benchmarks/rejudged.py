"""What would the judge of today say of a run that an earlier one judged? A pack's own numbers, by other rules.

    python -m benchmarks rejudged reports/leukocyte-reference

Judges the predictions in a pack again by the oldest rules, by those that it was judged by, and by today's, and prints
every criterion whose word or bounds differ. Neither model nor images are needed; what a pack does not hold is taken as
recorded.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from harness.judge.criteria import observed
from harness.judge.rules import OLDEST, RULES
from harness.judge.verdicts import Verdict
from harness.pack.read import open_pack
from harness.pack.rebuild import rebuild


def judged(pack: Path, rules: Mapping[str, object] | None) -> dict[str, Verdict]:
    """Criterion -> its verdict by these rules; None: by those of the pack."""
    opened = open_pack(pack)
    if rules is not None:
        opened = replace(opened, evidence={**opened.evidence, "rules": json.loads(json.dumps(rules))})
    results = rebuild(opened).results
    if results is None:
        raise SystemExit(f"{pack} cannot be judged again: `python -m harness verify {pack}` says why")
    return {verdict.criterion.id: verdict for verdict in results.verdicts}


def shown(verdict: Verdict) -> str:
    found = verdict.estimate
    return verdict.outcome if found is None else f"{verdict.outcome}: {observed(found, note=False)}"


def main() -> int:
    pack = Path(sys.argv[1])
    by = {"oldest": judged(pack, asdict(OLDEST)), "as it was": judged(pack, None), "today": judged(pack, asdict(RULES))}
    for name, verdicts in by.items():
        counted = Counter(str(verdict.outcome) for verdict in verdicts.values())
        print(f"{name:<10} {', '.join(f'{n} {word}' for word, n in sorted(counted.items()))}")
    for criterion in by["today"]:
        said = {name: shown(verdicts[criterion]) for name, verdicts in by.items()}
        if len(set(said.values())) > 1:
            print(f"{criterion}")
            for name, verdicts in by.items():
                print(f"  {name:<10} {said[name]}; {verdicts[criterion].reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
