"""Renews the pictures in docs/: `make screenshots`. Two portals of its own, made-up leads, verdicts, and headless Chromium."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo.api import Administrator  # noqa: E402  the line above makes it findable
from demo.launching import Launcher  # noqa: E402

WIDTH, HEIGHT = 1280, 860
# Name of the picture to the address in your portal; {…} comes from var/run.json.
PAGES = {
    "home": "/admin/",
    "campaign": "/admin/leads/campaign/{campaign_id}/processr/integrations/",
    "configure": "/admin/integrations/integration/1/change/",
    "leads": "/admin/leads/lead/",
    "lead": "/admin/leads/lead/100/change/",
    "events": "/admin/leads/source/1/change/#live",
}
REASONS = (("validate", "Details verified"), ("invalidate", "Unable to Contact"), ("invalidate", "Duplicate"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT / "docs", help="where the pictures go")
    parser.add_argument("--port", type=int, default=8390, help="of the portal; its client takes the next one")
    asked = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("No Chromium was found (Debian: apt install chromium): no pictures were made.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as var:
        launcher = Launcher(Path(var), ports={"portal": asked.port, "client": asked.port + 1})
        try:
            launcher.start(reset=True)
            about = json.loads((Path(var) / "run.json").read_text())
            _post(var, count=120, seed=7)
            _give_verdicts(about["client"])
            _post(var, count=24, seed=11)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                _sign_in(page, about["portal"])
                for name, address in PAGES.items():
                    page.goto(about["portal"]["url"] + address.format(**about["portal"]))
                    # A page that looks for news again and again is never idle.
                    page.wait_for_load_state("load" if "#" in address else "networkidle")
                    if "#live" in address:
                        page.wait_for_selector("[data-live] a")
                        page.evaluate("document.getElementById('live').closest('section').scrollIntoView()")
                    page.screenshot(path=asked.to / f"{name}.png")
                    print(asked.to / f"{name}.png")
        finally:
            launcher.stop()
    return 0


def _post(var: str, *, count: int, seed: int) -> None:
    """Leads as `make demo-leads` posts them, and what some of them did before."""
    posting = [sys.executable, str(ROOT / "demo/leads.py"), "--var", var, "--count", str(count), "--seed", str(seed)]
    subprocess.run(posting, check=True, cwd=ROOT)  # noqa: S603  our own script


def _give_verdicts(client: dict[str, Any]) -> None:
    """The client's people look at their newest leads."""
    for number, lead in enumerate(Administrator(client).leads(itemsPerPage="80")):
        action, reason = REASONS[number % len(REASONS)] if number % 5 else REASONS[0]
        said = {"reason": reason, "user": "Maria Lindqvist"}
        requests.post(f"{client['url']}/api/webhook/{action}/{lead['leadHash']}", said, timeout=20).raise_for_status()


def _sign_in(page: Page, portal: dict[str, Any]) -> None:
    page.goto(f"{portal['url']}/admin/")
    page.fill("[name=username]", portal["admin_username"])
    page.fill("[name=password]", portal["admin_password"])
    page.click("button[type=submit]")
    page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    sys.exit(main())
