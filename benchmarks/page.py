"""Measure the page on which models write, in headless Chromium: ``python -m benchmarks.page``, half a minute.

A GRU of 256 units with a vocabulary of 1,666 characters writes on the page and in Python, in turns. Writes
``page.json``. Needs Chromium and its driver (Debian: chromium chromium-driver).
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from benchmarks import machine
from benchmarks.setups import FOLDER
from pipeline import artifacts
from pipeline.artifacts import write_json
from pipeline.errors import RefrainError
from pipeline.generation.decoding import Decoding, generate
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.weights import save_model
from pipeline.params.load import Params, check_params
from pipeline.program import run_program
from pipeline.reporting.page import Page, render
from pipeline.reporting.page.embedded import embedded_models
from pipeline.text.vocab import UNK, Vocab

ROUNDS, LENGTH = 7, 2000

VOCAB = Vocab((UNK, *map(chr, range(0x4E00, 0x4E00 + 1665))), (0, *[1] * 1665))

DECODINGS = {"greedy": Decoding(), "temperature 0.8, top-p 0.95": Decoding(0.8, top_p=0.95)}

FIRST_CHARACTER = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#written p")?.childNodes[1]) return;
  window.first = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""


@dataclass(frozen=True)
class Measured:
    """Medians. Rates are characters a second by decoding."""

    processor: str
    cores: int
    page_megabytes: float
    seconds_to_first_character: float
    on_the_page: dict[str, float]
    in_python: dict[str, float]


def main() -> None:
    """Measure, print and write."""
    params = parameters()
    model = CharLM(ModelConfig(len(VOCAB), **params.models["gru"].architecture)).eval()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), chromium(Path(folder)) as browser:
        path = Path(folder) / "index.html"
        path.write_text(page_with(model, params), encoding="utf-8")
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FIRST_CHARACTER})
        first = [seconds_to_first_character(browser, path) for _ in range(ROUNDS)]
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in DECODINGS}
        for _ in range(ROUNDS):
            for name, decoding in DECODINGS.items():
                rates[name].append((rate_on_page(browser, decoding), rate_in_python(model, decoding)))
        measured = Measured(
            machine.processor_name(),
            machine.describe().cores,
            path.stat().st_size / 1e6,
            median(first),
            *({name: median(pair[i] for pair in pairs) for name, pairs in rates.items()} for i in range(2)),
        )
    write_json(FOLDER / "page.json", asdict(measured))
    print(json.dumps(asdict(measured), indent=2))


def parameters() -> Params:
    """The parameters of a page with one model."""
    sections: dict[str, object] = {"seed": 1, "corpus": {"path": "x"}, "vocab": {}, "train": {}}
    models = {"gru": {"cell": "gru", "hidden_size": 256}}
    return check_params({**sections, "models": models, "generate": {"prefixes": [VOCAB.chars[1]]}})


def page_with(model: CharLM, params: Params) -> str:
    """A page that holds the model and nothing else."""
    save_model(artifacts.model_path("gru"), model, model.weights(), "")
    write_json(artifacts.evaluation_path("gru"), {"splits": {}, "float16": {}})
    embedded = embedded_models(params, VOCAB, "", None)
    return render(Page([], [], ["gru"], "", embedded, None, [], "", {}, [], {}, "", ""))


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Chromium without a window."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        raise RefrainError("Chromium is not installed (Debian: apt install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    for argument in ("headless=new", "no-sandbox", f"user-data-dir={profile}/profile"):
        options.add_argument(f"--{argument}")
    browser = Chrome(options=options, service=Service(driver))
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


def seconds_to_first_character(browser: Chrome, path: Path) -> float:
    """From the start of loading until the page has written a character."""
    browser.get("about:blank")
    browser.get(path.as_uri())
    while (found := browser.execute_script("return window.first")) is None:
        time.sleep(0.05)
    browser.execute_script("document.querySelector('#hold').click()")
    return float(found) / 1000


def rate_on_page(browser: Chrome, decoding: Decoding) -> float:
    """Characters a second that the page writes."""
    script = """
        const [prefix, length, temperature, topP, done] = arguments;
        const start = performance.now();
        const text = refrain.write({ model: "gru", prefix, length, temperature, topP });
        text.then(() => done(performance.now() - start));
    """
    arguments = (VOCAB.chars[1], LENGTH, decoding.temperature, decoding.top_p)
    return LENGTH / float(browser.execute_async_script(script, *arguments)) * 1000


def rate_in_python(model: CharLM, decoding: Decoding) -> float:
    """Characters a second of ``refrain write``, once the model is loaded."""
    start = time.perf_counter()
    with torch.inference_mode():
        generate(model, [[1]], LENGTH, decoding, 1, VOCAB.unk_id)
    return LENGTH / (time.perf_counter() - start)


if __name__ == "__main__":
    run_program(main, argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__))
