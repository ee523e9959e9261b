"""Scripts of ours in processes of their own: what they are asked has no limit, and reaches them whole."""

from __future__ import annotations

from harness.core.processes import run_isolated

ECHO = """
import json, sys
from pathlib import Path
request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(len(request["paths"]), request["paths"][-1].endswith("2999.png"), sys.stdin.buffer.read() == b"content")
"""
# Names as a hospital's export has them: together far beyond what one argument of a process may hold.
PATHS = [f"/data/{'café' * 30}/{number:04d}.png" for number in range(3000)]


def test_a_request_may_name_more_images_than_one_argument_holds(tmp_path):
    script = tmp_path / "echo.py"
    script.write_text(ECHO)
    done = run_isolated(script, {"paths": PATHS}, b"content", folder=tmp_path, timeout_s=60)
    assert (done.returncode, done.stdout.split()) == (0, [b"3000", b"True", b"True"]), done.stderr
