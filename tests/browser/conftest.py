"""A headless Chromium for pages, and what every page is held to: no error in its console, and axe finds nothing serious."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
# What htmx says of a check that was dropped for a newer one.
NO_TROUBLE = ("htmx:sendAbort", "htmx:afterRequest")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser, one for all tests of a file.

    While it runs, an event loop does in this thread, and Django would refuse the tests their queries.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    tools = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (make lock)")
    with pytest.MonkeyPatch.context() as patch, tools.sync_playwright() as driver:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> Iterator[list[str]]:
    """What pages complain about; a test that ends with any has failed."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def open_page(chromium: Any, troubles: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens a tab of its own (width=1280, dark=False), whose complaints are kept in `troubles`."""
    contexts = []

    def open_one(*, width: int = 1280, height: int = 900, dark: bool = False, **more: Any) -> Any:
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: _note(troubles, said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: _refuse(troubles, dialog))
        return page

    yield open_one
    said = list(troubles)
    for context in contexts:
        # What a page sends on its way out is held for the tab's routes, and a tab is not closed before it has gone on.
        context.unroute_all(behavior="ignoreErrors")
        context.close()
    # By now its server may be gone: what a tab misses of it while it is closed is no complaint.
    troubles[:] = said


def _note(troubles: list[str], text: str) -> None:
    if text not in NO_TROUBLE:
        troubles.append(text)


def _refuse(troubles: list[str], dialog: Any) -> None:
    troubles.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def sign_in(page: Any, url: str, name: str, password: str, onward: str = "/admin/") -> None:
    """Sign in to a portal's admin, and land on `onward`."""
    page.goto(f"{url}/admin/login/?next={onward}")
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}{onward}")


@pytest.fixture(scope="session")
def axe_script() -> str:
    """axe-core's source, which the wheel of axe-playwright-python brings along."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed (make lock)")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text()


@pytest.fixture
def axe(axe_script: str) -> Callable[..., list[str]]:
    """What axe finds serious or critical on a page as it stands, in a line each."""

    def look(page: Any) -> list[str]:
        page.evaluate(axe_script)
        answer = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{found['impact']}: {found['id']}: {found['help']}: "
            + "; ".join(node["html"][:160] for node in found["nodes"][:4])
            for found in answer["violations"]
            if found["impact"] in ("serious", "critical")
        ]

    return look
