"""Chromium without a window."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service


@contextmanager
def chromium(profile: Path, *arguments: str) -> Iterator[Chrome]:
    """A browser with a profile of its own. The test skips if none is installed."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("Chromium is not installed (Debian: apt install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    for argument in ("headless=new", "no-sandbox", f"user-data-dir={profile}", *arguments):
        options.add_argument(f"--{argument}")
    window = Chrome(options=options, service=Service(driver))
    yield window
    window.quit()


def save(browser: Chrome, name: str) -> None:
    """Keep a picture in the folder that REFRAIN_SCREENSHOTS names."""
    folder = os.environ.get("REFRAIN_SCREENSHOTS")
    if folder:
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))
