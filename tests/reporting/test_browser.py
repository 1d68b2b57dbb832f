"""The report's pages as a person sees them, from a file, in headless Chromium.

REFRAIN_SCREENSHOTS names a folder for pictures of them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline.evaluation.difference import Difference
from pipeline.reporting.changes import render_changes
from pipeline.reporting.page import render
from tests.reporting.test_page import PAGE
from tests.support.browser import chromium, save

pytestmark = pytest.mark.ui

RESULTS = "results-0123456789ab"
FOUND = [
    Difference(f"model-{i}", split, "compared", "worse", "", 100.0, 110.0, 0.1, 0.05, 0.15, 1000)
    for split in ("valid", "test")
    for i in range(4)
]


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[..., Chrome]]:
    """Opens ``index.html``, of four models, in a browser that prefers light or dark pages."""
    models = [f"model-{i}" for i in range(4)]
    page = render(replace(PAGE, models=models, results=RESULTS))
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    with ExitStack() as stack:

        def open_(dark: bool = False) -> Chrome:
            scheme = f"blink-settings=preferredColorScheme={0 if dark else 1}"
            browser = stack.enter_context(chromium(tmp_path / scheme, "window-size=1100,1400", scheme))
            browser.get((tmp_path / "index.html").as_uri())
            return browser

        yield open_


def write_changes(folder: Path, results: str) -> None:
    lines = [f"parameters: models.model-{i}.dropout: 0.4 -> 0.0" for i in range(4)]
    page = render_changes(FOUND, lines, "Perplexity, from HEAD (abcdef0) to workspace", results)
    (folder / "changes.html").write_text(page, encoding="utf-8")


def colour_of(browser: Chrome, name: str) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body)[arguments[0]]", name))


@pytest.mark.parametrize("dark", [False, True])
def test_changes_are_shown_in_place_and_in_the_pages_colours(
    open_page: Callable[..., Chrome], tmp_path: Path, dark: bool
) -> None:
    write_changes(tmp_path, RESULTS)
    browser = open_page(dark)
    save(browser, f"report-{'dark' if dark else 'light'}")
    colours = [colour_of(browser, name) for name in ("color", "backgroundColor")]
    assert colours == (
        ["rgb(226, 225, 221)", "rgb(23, 24, 26)"] if dark else ["rgb(34, 34, 34)", "rgb(255, 255, 255)"]
    )
    assert browser.execute_script("return scrollY") == 0
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "object"))
    assert [colour_of(browser, name) for name in ("color", "backgroundColor")] == colours
    shown = browser.find_element(By.TAG_NAME, "body").text
    assert shown.startswith("Perplexity, from HEAD (abcdef0) to workspace")
    assert shown.count("+5.0% to +15.0%") == len(FOUND)
    assert browser.execute_script("return document.documentElement.scrollHeight <= innerHeight"), "all of it"


def test_changes_of_other_results_say_so(open_page: Callable[..., Chrome], tmp_path: Path) -> None:
    write_changes(tmp_path, "results-ba9876543210")
    browser = open_page()
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "object"))
    assert "the results have changed since this comparison" in browser.find_element(By.TAG_NAME, "body").text


def test_without_changes_the_page_says_what_to_do(open_page: Callable[..., Chrome]) -> None:
    assert "make repro writes one" in open_page().find_element(By.TAG_NAME, "object").text


def test_a_loss_is_shown_where_a_character_is_pointed_at_or_chosen(open_page: Callable[..., Chrome]) -> None:
    browser = open_page()
    first = browser.find_element(By.CSS_SELECTOR, ".held-out label")

    def shown() -> list[str]:
        labels = "[...document.querySelectorAll('.held-out label')]"
        script = f"return {labels}.map(label => getComputedStyle(label, '::after').content)"
        return [str(text).strip('"') for text in browser.execute_script(script)]

    assert shown() == ["none", "none"]
    ActionChains(browser).move_to_element(first).perform()
    assert shown() == ["1.20 nats, 30%", "none"]
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()
    chart = browser.find_element(By.CSS_SELECTOR, ".chart")
    browser.execute_script("arguments[0].focus()", chart)  # the stop before
    for key, expected in (
        (Keys.TAB, ["1.20 nats, 30%", "none"]),
        (Keys.ARROW_RIGHT, ["none", "0.10 nats, 90%"]),
    ):
        ActionChains(browser).send_keys(key).perform()
        assert shown() == expected
    browser.find_element(By.TAG_NAME, "h1").click()
    assert shown() == ["none", "none"]
    first.click()
    assert shown()[0] == "1.20 nats, 30%"
