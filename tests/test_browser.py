"""A report full of attacks, opened in a real browser: none runs, and nothing leaves the page.

Two controls keep the test honest. Without escaping and without the policy the same page does run them; without
escaping, the policy alone stops them.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from example_run import example_picture, example_run, page_of
from hostile_run import NAMES, RAN, hostile_dataset, hostile_run, reworded, texts

from harness.pack.files import REPORT
from harness.pack.write import write_pack
from harness.report import page as report
from harness.run.results import RunResults

BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="neither Chromium nor Chrome is on this machine")
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@dataclass(frozen=True)
class Server:
    """Whom the attacks ask; `asked` has every path that anybody asked for."""

    address: str
    asked: list[str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield Server(f"http://127.0.0.1:{listening.server_address[1]}", asked)
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture(scope="module")
def run(server: Server) -> RunResults:
    return hostile_run(server.address)


@pytest.fixture(scope="module")
def pack(run: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    manifest = hostile_dataset(place / "data")
    with pytest.MonkeyPatch.context() as quick:  # what is drawn is pixels to a browser: tests/test_figures.py has it
        quick.setattr("harness.report.figures.draw_figures", lambda *_: {"class_distribution": example_picture("one")})
        return write_pack(run, reports=place / "reports", manifest=manifest, models={}, formats=("JPEG", "PNG"))


@pytest.fixture
def unescaped(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A page with every attack in its title and heading, as templates that forgot to escape would print it."""
    escaping = report._environment.__wrapped__  # a new one: the one that is kept goes on escaping

    def forgetful() -> object:
        environment = escaping()
        environment.autoescape = False
        return environment

    monkeypatch.setattr(report, "_environment", forgetful)
    run = reworded(example_run(), {"Example protocol": "".join(texts(server.address))})
    return page_of(run)


@pytest.fixture
def browse(server: Server, tmp_path: Path) -> Callable[[Path], str]:
    """Opens a page and returns its elements after everything on it has had its time."""

    def opened(page: Path) -> str:
        server.asked.clear()
        done = subprocess.run(
            [
                str(BROWSER),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                f"--user-data-dir={tmp_path / 'profile'}",
                *("--virtual-time-budget=2000", "--dump-dom", page.as_uri()),
            ],
            capture_output=True,
            timeout=120,
            check=True,
        )
        return done.stdout.decode("utf-8", "replace")

    return opened


def title_of(dom: str) -> str:
    return html.unescape(dom.partition("<title>")[2].partition("</title>")[0])


@needs_browser
def test_no_attack_runs_on_the_page_of_a_real_pack(pack, browse, server):
    dom = browse(pack / REPORT)
    assert title_of(dom).startswith("Not passed: Example </script><script>document.title=")
    assert server.asked == []
    assert "<script" not in dom
    assert "<iframe" not in dom
    assert all(
        src.startswith(("data:image/png;base64,", "data:image/webp;base64,"))
        for src in re.findall(r'<img [^>]*src="([^"]*)"', dom)
    )
    text = html.unescape(re.sub(r"<[^>]*>", "", dom))
    assert "{{7*7}}${7*7}#{7*7}{%raw%}" in text
    assert "\\u202egpj.exe" in text
    assert NAMES[0] in text


@needs_browser
def test_without_escaping_and_policy_the_same_attacks_do_run(unescaped, browse, server, tmp_path):
    bare, n = POLICY.subn("", unescaped)
    assert n == 1
    (tmp_path / "bare.html").write_text(bare, encoding="utf-8", errors="backslashreplace")
    dom = browse(tmp_path / "bare.html")
    assert title_of(dom) == RAN
    assert {"/image", "/style", "/link", "/frame", "/background", "/fetch", "/beacon"} <= set(server.asked)


@needs_browser
def test_without_escaping_the_policy_alone_stops_them(unescaped, browse, server, tmp_path):
    (tmp_path / "policy.html").write_text(unescaped, encoding="utf-8", errors="backslashreplace")
    dom = browse(tmp_path / "policy.html")
    assert "<script>document.title=" in dom  # the attacks are elements of the page, and were not run
    assert title_of(dom) != RAN
    assert server.asked == []


@needs_browser
def test_the_browser_takes_the_style_sheet_that_the_policy_names(pack, browse, tmp_path):
    # A policy with another digest would stop the attacks and the page's own style alike.
    page = (pack / REPORT).read_text(encoding="utf-8")
    probe = POLICY.search(page)[0].replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    asks = "<script>document.title = getComputedStyle(document.querySelector('.skip')).position</script></body>"
    (tmp_path / "probe.html").write_text(POLICY.sub(probe, page).replace("</body>", asks), encoding="utf-8")
    assert title_of(browse(tmp_path / "probe.html")) == "absolute"
