"""How does a report look to somebody with a browser: screens, tables too wide, accessibility, keyboard, print, seconds?

    python -m benchmarks browser PAGE [PAGE ...] [--chromium FILE] [--shots DIR]

Opens each page in Chromium as on a phone (390 x 844 px), a tablet (820 x 1180 px) and a desk (1440 x 900 px), light and
dark, and asks axe for accessibility faults. A page is walked with the Tab key alone, printed to PDF, and watched for
messages on the console and for anything that it asks of a network. Playwright and axe come into an environment of
their own (--peers).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks._peers import python_with

PEERS = {"playwright": "playwright==1.65.2", "axe_playwright_python": "axe-playwright-python==0.1.8"}

LOOKING = r"""
import json, pathlib, re, sys, time
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

chromium, shots, *pages = sys.argv[1:]
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1440, 900)}
ASK = '''() => {
  const wide = [...document.querySelectorAll("table")].filter(t => {
    const box = t.closest(".scroll") || t.parentElement;
    return t.offsetParent !== null && box.scrollWidth > box.clientWidth + 1;
  });
  const banner = document.querySelector(".banner");
  return {height: document.documentElement.scrollHeight, across: document.documentElement.scrollWidth,
    tables: document.querySelectorAll("table").length, wide: wide.length,
    banner: banner ? banner.getBoundingClientRect().height : null};
}'''
FOCUSED = '''() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {name: e.tagName.toLowerCase(), text: (e.textContent || "").trim().slice(0, 40),
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none",
    inside: box.width > 0 && box.height > 0};
}'''

with sync_playwright() as play:
    browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for page_file in pages:
        address, said = pathlib.Path(page_file).resolve().as_uri(), {"page": page_file, "views": []}
        asked, told = [], []
        for scheme in ("light", "dark"):
            for name, (width, height) in SIZES.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True
                )
                page = context.new_page()
                page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("data:", address)) else None)
                page.on("console", lambda m: told.append(m.text))
                page.on("pageerror", lambda e: told.append(str(e)))
                began = time.perf_counter()
                page.goto(address, wait_until="load")
                seconds = time.perf_counter() - began
                found = page.evaluate(ASK)
                view = {
                    "view": f"{name} {scheme}",
                    "load_s": round(seconds, 2),
                    "screens": round(found["height"] / height, 1),
                    "sideways": found["across"] > width,
                    "tables": found["tables"],
                    "wide": found["wide"],
                    "banner": None if found["banner"] is None else round(found["banner"] / height, 2),
                }
                if shots:
                    pathlib.Path(shots).mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=f"{shots}/{pathlib.Path(page_file).parent.name}-{name}-{scheme}.png")
                axe = Axe().run(page)
                view["axe"] = [f"{v['id']} ({len(v['nodes'])})" for v in axe.response["violations"]]
                said["views"].append(view)
                context.close()
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(address, wait_until="load")
        reached, unseen = 0, []
        for _ in range(400):
            page.keyboard.press("Tab")
            at = page.evaluate(FOCUSED)
            if at is None:
                break
            reached += 1
            if not (at["seen"] and at["inside"]):
                unseen.append(f"{at['name']} {at['text']!r}")
        page.goto(address)
        opened = 0
        page.evaluate("document.querySelector('main details > summary')?.focus()")
        before = page.evaluate("document.querySelectorAll('main details[open]').length")
        page.keyboard.press("Enter")
        opened = page.evaluate("document.querySelectorAll('main details[open]').length") - before
        said |= {"tabbed": reached, "without_focus": unseen[:5], "opened_by_enter": opened != 0}
        pdf = page.pdf(format="A4")
        said |= {"printed_pages": len(re.findall(rb"/Type\s*/Page\b", pdf)), "requests": asked, "console": told}
        context.close()
        print(json.dumps(said), flush=True)
    browser.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--shots", default="", help="where pictures of the first screens go")
    parser.add_argument("--peers", type=Path, default=Path(".peers/browser"), help="environment of the peers")
    asked = parser.parse_args()
    python = python_with(asked.peers, PEERS)
    command = [python, "-c", LOOKING, asked.chromium, asked.shots, *asked.pages]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=False)
    for line in done.stdout.splitlines():
        show(json.loads(line))
    sys.exit(done.returncode)


def show(said: dict[str, object]) -> None:
    print(f"{said['page']}")
    print(f"  {'view':<14} {'s':>5} {'screens':>8} {'banner':>7} {'too wide':>9}  axe")
    for view in said["views"]:  # type: ignore[attr-defined]
        wide = f"{view['wide']} of {view['tables']}" + (" page" if view["sideways"] else "")
        banner = "-" if view["banner"] is None else f"{view['banner']:.2f}"
        axe = ", ".join(view["axe"]) or "nothing"
        print(f"  {view['view']:<14} {view['load_s']:>5} {view['screens']:>8} {banner:>7} {wide:>9}  {axe}")
    print(
        f"  keyboard: {said['tabbed']} stops, without a visible focus {said['without_focus'] or 'none'}, "
        f"a fold opens by Enter: {said['opened_by_enter']}; printed: {said['printed_pages']} A4 pages; "
        f"requests: {said['requests'] or 'none'}; console: {said['console'] or 'nothing'}\n"
    )


if __name__ == "__main__":
    main()
