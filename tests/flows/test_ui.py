"""Prefect's own pages, as a person sees them, in headless Chromium.

REFRAIN_SCREENSHOTS names a folder for pictures of them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.browser import chromium, save
from tests.support.prefect import Api, run_flow, times
from tests.support.project import Project

pytestmark = pytest.mark.ui


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with chromium(tmp_path / "profile", "window-size=1500,1100") as window:
        yield window


def wait_for(browser: Chrome, texts: list[str]) -> str:
    """Until the page shows all ``texts``."""

    def shown(_: Chrome) -> str | bool:
        body = browser.find_element(By.TAG_NAME, "body").text
        return body if all(text in body for text in texts) else False

    try:
        return str(WebDriverWait(browser, 40).until(shown))
    except TimeoutException:
        body = browser.find_element(By.TAG_NAME, "body").text
        raise AssertionError(f"the page does not show all of {texts}:\n{body}") from None


def test_run_page_shows_the_graph_and_the_artifacts(again: Project, api: Api, browser: Chrome) -> None:
    again.edit("seed: 1", "seed: 2")
    assert run_flow(again, "reproduce").returncode == 0
    run = api.flow_runs()[0]
    page = api.address.removesuffix("/api")
    browser.get(f"{page}/runs/flow-run/{run['id']}")
    wait_for(browser, [run["name"], "Completed", "train@rnn", "train@gru"])
    save(browser, "run")
    # The graph is drawn on a canvas: what stands side by side in it is what ran at the same time.
    tasks = api.task_runs(run["id"], {"train@rnn": "Completed", "train@gru": "Completed"})
    rnn, gru = times(tasks["train@rnn"]), times(tasks["train@gru"])
    assert max(rnn[0], gru[0]) < min(rnn[1], gru[1])
    assert browser.find_elements(By.TAG_NAME, "canvas"), "the graph is there"

    artifacts = api.artifacts(run["id"])
    for key, texts in (
        ("metrics", ["model", "valid", "bigram"]),
        ("changes", ["before", "after", "rnn"]),
        ("samples", ["gru, greedy", "分开"]),
        ("progress-train-rnn", ["100", "rnn: epoch"]),
    ):
        browser.get(f"{page}/artifacts/artifact/{artifacts[key]['id']}")
        wait_for(browser, texts)
        save(browser, key)
    browser.get(f"{page}/artifacts/artifact/{artifacts['learning-curves']['id']}")
    curves = "i.src.startsWith('data:image/svg') && i.naturalWidth > 100"
    is_drawn = _script(f"return [...document.images].some(i => {curves})")
    WebDriverWait(browser, 40).until(is_drawn, "the learning curves are not drawn")
    save(browser, "learning-curves")


def _script(code: str) -> Callable[[Chrome], bool]:
    return lambda browser: bool(browser.execute_script(code))
