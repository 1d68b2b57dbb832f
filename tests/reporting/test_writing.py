"""The models on the page write and read as they do in Python: in Chromium, for every kind of cell."""

import os
import random
import re
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from pipeline import artifacts
from pipeline.evaluation.losses import read_losses
from pipeline.evaluation.perplexity import score
from pipeline.generation.decoding import Decoding, generate
from pipeline.nn.float16 import round_weights
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.weights import save_model
from pipeline.params.load import Params, check_params
from pipeline.reporting.charts import learning_curves
from pipeline.reporting.held_out import scale
from pipeline.reporting.page import Sample, render
from pipeline.reporting.page.embedded import embedded_models
from pipeline.text.vocab import UNK, Vocab
from tests.reporting.test_page import HELD_OUT, PAGE
from tests.support.browser import chromium, save
from tests.support.project import Project

pytestmark = pytest.mark.ui

CHARS = tuple("分开不了我 abcdefghijklm\n<&>\"'\u202e\u0000é𝄞\u3000")
VOCAB = Vocab((UNK, *CHARS), tuple(range(len(CHARS) + 1)))

MODELS: dict[str, dict[str, Any]] = {
    "rnn_tanh": {"cell": "rnn"},
    "rnn_relu": {"cell": "rnn", "nonlinearity": "relu"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "layers": {"cell": "gru", "num_layers": 3, "hidden_size": 21},
    "embedding": {"cell": "lstm", "embedding_size": 7, "num_layers": 2},
    "tied": {"cell": "rnn", "embedding_size": 24, "tied": True},
}

PREFIXES = [
    "".join(random.Random(i).choices([char for char in CHARS if char != "\u0000"], k=1 + i % 9))
    for i in range(50)
]


@dataclass(frozen=True)
class Opened:
    """A page in a browser, and the same models in Python, with the page's weights, in float64."""

    browser: Chrome
    address: str
    models: dict[str, CharLM]

    def call(self, function: str, **settings: Any) -> Any:
        """What a function of `window.refrain` promises; or its error, as text."""
        script = "const [f, s, done] = arguments; refrain[f](s).then(done, (error) => done(String(error)))"
        return self.browser.execute_async_script(script, function, settings)

    def open(self, hash_: str = "") -> None:
        self.browser.get("about:blank")
        self.browser.get(self.address + hash_)

    def find(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def written(self) -> list[str]:
        """The texts on the page, once they are complete."""
        WebDriverWait(self.browser, 20).until(lambda _: self.find("#hold").text == "Go on")
        return [
            str(p.get_property("textContent"))
            for p in self.browser.find_elements(By.CSS_SELECTOR, "#written p")
        ]


def parameters(**changes: Any) -> Params:
    sections: dict[str, Any] = {section: {} for section in ("vocab", "train")}
    models = {name: {"hidden_size": 24, **values} for name, values in MODELS.items()}
    generate = {"prefixes": ["分开", "a"], "length": 60, "decoding": [{"temperature": 0.7}]}
    return check_params(
        {**sections, "seed": 3, "corpus": {"path": "x"}, "models": models, "generate": generate, **changes}
    )


def trained(name: str, params: Params) -> CharLM:
    """A model with weights far from uniform: its text does not repeat itself soon."""
    torch.manual_seed(len(name))
    model = CharLM(ModelConfig(len(VOCAB), **params.models[name].architecture))
    for weight in model.parameters():
        weight.data *= 2 if model.config.cell == "rnn" else 4  # any more, and rounding would grow, too
    return model


def write_page(folder: Path, params: Params, **changes: Any) -> dict[str, CharLM]:
    """Write `index.html` with models in it. Returns them with the weights of the page, in float64."""
    models = {}
    for name in params.models:
        model = models[name] = trained(name, params)
        save_model(artifacts.model_path(name), model, model.weights(), "")
        figures = {"splits": {"valid": {"perplexity": 2.0}}, "float16": {"valid": 2.0001}}
        artifacts.write_json(artifacts.evaluation_path(name), figures)
    ids = [1, 0, len(VOCAB) - 1]
    by_model = dict.fromkeys(params.models, HELD_OUT.by_model["rnn"])
    held_out = replace(HELD_OUT, ids=ids, edges=scale(len(VOCAB)), by_model=by_model)
    embedded = embedded_models(params, VOCAB, "", held_out)
    page = replace(PAGE, models=list(params.models), embedded=embedded, held_out=held_out, **changes)
    (folder / "index.html").write_text(render(page), encoding="utf-8")
    for model in models.values():
        round_weights(model)
    return {name: model.double().eval() for name, model in models.items()}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("page")
    with chdir(folder):
        models = write_page(folder, parameters())
    with chromium(folder / "profile", "window-size=1100,1400", "force-prefers-reduced-motion") as browser:
        browser.set_script_timeout(120)
        opened = Opened(browser, (folder / "index.html").as_uri(), models)
        opened.open()
        yield opened


def generate_ids(model: CharLM, ids: list[int], length: int) -> list[int]:
    return generate(model, [ids], length, Decoding(), 3, VOCAB.unk_id)[0]


def in_python(model: CharLM, prefix: str, length: int, decoding: Decoding, seed: int = 3) -> str:
    ids = VOCAB.encode_prefix(prefix, allow_unk=False)
    return VOCAB.decode(generate(model, [ids], length, decoding, seed, VOCAB.unk_id)[0])


@pytest.mark.parametrize("name", MODELS)
def test_greedy_text_is_that_of_python(page: Opened, name: str) -> None:
    ids = [VOCAB.encode_prefix(prefix, allow_unk=False) for prefix in PREFIXES]
    expected = generate(page.models[name], ids, 300, Decoding(), 3, VOCAB.unk_id)
    found = [page.call("write", model=name, prefix=prefix, length=300) for prefix in PREFIXES]
    assert found == [VOCAB.decode(row) for row in expected]
    assert len(set(found)) > 3


@pytest.mark.parametrize("name", MODELS)
def test_drawn_text_is_that_of_python(page: Opened, name: str) -> None:
    for seed, decoding in enumerate(
        (
            Decoding(0.8),
            Decoding(2.0, top_k=3),
            Decoding(1.0, top_p=0.5),
            Decoding(1.2, 7, 0.9),
            Decoding(1.0, 1),
        )
    ):
        settings = {"temperature": decoding.temperature, "topK": decoding.top_k, "topP": decoding.top_p}
        found = page.call("write", model=name, prefix="分开", length=700, seed=seed, **settings)
        assert found == in_python(page.models[name], "分开", 700, decoding, seed)
        assert found == page.call("write", model=name, prefix="分开", length=700, seed=seed, **settings)


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_those_of_python(page: Opened, name: str) -> None:
    text = "".join(random.Random(1).choices([*CHARS, "X"], k=400))  # X is unknown
    ids = torch.tensor(VOCAB.encode(text).astype(np.int64)).unsqueeze(1)
    model = page.models[name]
    with torch.no_grad():
        logits, _ = model(ids[:-1], model.initial_state(1))
        expected = torch.nn.functional.cross_entropy(logits[:, 0], ids[1:, 0], reduction="none")
    found = page.call("score", model=name, text=text)
    assert np.allclose(found, expected.numpy(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "gpt", "prefix": "a"}, "no model gpt: choose from rnn_tanh, rnn_relu, gru"),
        ({"model": "gru", "prefix": ""}, "the prefix is empty"),
        (
            {"model": "gru", "prefix": "aXY\u202d"},
            "not in the vocabulary: \u2068X\u2069 (U+0058), \u2068Y\u2069 (U+0059), U+202D",
        ),
        (
            {"model": "gru", "prefix": "a", "temperature": -1},
            "temperature: give a number from 0.01 to 100, or 0",
        ),
        ({"model": "gru", "prefix": "a", "length": 0}, "length: give a whole number from 1"),
        ({"model": "gru", "prefix": "a", "length": 1.5}, "length: give a whole number from 1"),
        ({"model": "gru", "prefix": "a", "topK": 1.5}, "top k: give a whole number from 1"),
        ({"model": "gru", "prefix": "a", "topP": 2}, "top p: give a number above 0, up to 1"),
        ({"model": "gru", "prefix": "a", "seed": "x"}, "seed: give a whole number from 0"),
    ],
)
def test_wrong_settings_are_errors(page: Opened, settings: dict[str, Any], message: str) -> None:
    assert f"RangeError: {message}" in page.call("write", **settings)


def test_it_writes_when_it_is_opened_as_params_yaml_says(page: Opened) -> None:
    page.open()
    expected = in_python(page.models["rnn_tanh"], "分开", 60, Decoding(0.7))
    visible = expected.replace("\u202e", "<U+202E>").replace("\u0000", "␀")
    assert page.written()[0] == f"分开{visible}"
    assert "rounded to float16 here, which changes perplexity by +0.005% on valid" in page.find("body").text


def test_a_link_shows_the_same_text(page: Opened) -> None:
    page.open("#model=gru&beside=tied&prefix=ab&temperature=1&top_k=5&seed=9&length=40")
    first = page.written()
    assert first[0].startswith("ab")
    page.open(page.browser.current_url.removeprefix(page.address))
    assert page.written() == first
    page.browser.execute_script("location.hash = '#model=gru&beside=&prefix=c&temperature=0&length=5'")
    WebDriverWait(page.browser, 5).until(lambda _: len(page.written()) == 1)
    assert page.written()[0].startswith("c")


def test_a_link_holds_what_was_cleared_and_what_is_between_the_steps(page: Opened) -> None:
    page.open("#model=gru&beside=&prefix=ab&temperature=0.73&top_p=&seed=9223372036854775807&length=30")
    first = page.written()
    assert len(first) == 1
    assert "temperature=0.73" in page.browser.current_url
    assert "top_p=&" in page.browser.current_url
    drawn = in_python(page.models["gru"], "ab", 30, Decoding(0.73), 9223372036854775807)
    assert first == ["ab" + drawn.replace("\u202e", "<U+202E>").replace("\u0000", "␀")]
    page.open(page.browser.current_url.removeprefix(page.address))
    assert page.written() == first


def test_a_link_to_a_model_that_is_not_there_says_so(page: Opened) -> None:
    page.open("#model=gpt&prefix=a")
    assert page.find("#problem").text == "the address names a model that cannot write here: gpt"
    assert page.written() == []


def test_enter_that_confirms_what_an_input_method_suggests_writes_nothing(page: Opened) -> None:
    page.open("#model=gru&beside=&prefix=a&temperature=0&length=5")
    before = page.written()
    page.find("[name=prefix]").send_keys("b")
    event = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, cancelable: true})"
    assert page.browser.execute_script(
        f"return arguments[0].dispatchEvent({event})", page.find("[name=prefix]")
    )
    assert page.written() == before


def test_prefixes_with_unknown_characters_are_read_if_params_yaml_allows_them(tmp_path: Path) -> None:
    generate = {"prefixes": ["aX\u202d"], "length": 20, "allow_unk": True, "decoding": [{"temperature": 0}]}
    with chdir(tmp_path):
        models = write_page(tmp_path, parameters(generate=generate, models={"gru": {"cell": "gru"}}))
    ids = VOCAB.encode_prefix("aX\u202d", allow_unk=True)
    expected = VOCAB.decode(generate_ids(models["gru"], ids, 20))
    with chromium(tmp_path / "profile") as browser:
        page = Opened(browser, (tmp_path / "index.html").as_uri(), models)
        page.open()
        visible = expected.replace("\u202e", "<U+202E>").replace("\u0000", "␀")
        assert page.written() == [f"aX<U+202D>{visible}"]


def test_a_vocabulary_without_unk_names_what_it_cannot_read(tmp_path: Path) -> None:
    vocab = Vocab(tuple("ab \n"), (1, 1, 1, 1))
    corpus = {"path": "x", "normalize": "letters"}
    params = parameters(corpus=corpus, models={"gru": {"cell": "gru"}}, generate={"prefixes": ["a"]})
    with chdir(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.reporting.test_writing.VOCAB", vocab)
        write_page(tmp_path, params)
    with chromium(tmp_path / "profile") as browser:
        page = Opened(browser, (tmp_path / "index.html").as_uri(), {})
        page.open()
        for text, expected in (
            ("a C", "not in the vocabulary: \u2068c\u2069 (U+0063)"),
            ("A", "give two characters or more: the first has no loss"),
            (" A, B!", "gru: perplexity "),  # read as "a b"
        ):
            page.browser.execute_script("arguments[0].value = arguments[1]", page.find("#text"), text)
            page.find("#reader button").click()
            WebDriverWait(browser, 10).until(
                lambda _, e=expected: page.find("#read-status").text.startswith(e)
            )
        assert len(browser.find_elements(By.CSS_SELECTOR, '[data-model="gru"] label')) == 2


def test_unknown_characters_are_named_while_they_are_typed(page: Opened) -> None:
    page.open("#model=gru&beside=&prefix=a&length=5")
    before = page.written()
    prefix = page.find("[name=prefix]")
    prefix.send_keys("Zü")
    problem = page.find("#problem").text.replace("\u2068", "").replace("\u2069", "")
    assert problem == "not in the vocabulary: Z (U+005A), ü (U+00FC)"
    assert prefix.get_attribute("aria-invalid") == "true"
    prefix.send_keys(Keys.ENTER)
    assert page.written() == before
    prefix.send_keys(Keys.BACKSPACE, Keys.BACKSPACE)
    assert page.find("#problem").text == ""
    prefix.clear()
    prefix.send_keys(Keys.ENTER)
    assert page.written() == before


def test_empty_and_unreadable_fields(page: Opened) -> None:
    page.open("#model=gru&beside=&prefix=ab&temperature=0&length=5")
    assert page.find("#status").text == "gru: 5 characters written", "the prefix does not count"
    for name, text, problem in (
        ("temperature", "", "temperature: give a number from 0.01 to 100, or 0"),
        ("top_k", "e", "top k: give a whole number from 1"),  # in numbers, e is allowed, but not alone
        ("length", "0", "length: give a whole number from 1"),
    ):
        page.open("#model=gru&beside=&prefix=ab&temperature=0&length=5")
        field = page.find(f"[name={name}]")
        field.clear()
        field.send_keys(text, Keys.ENTER)
        assert page.find("#problem").text == problem
    page.open("#model=gru&beside=&prefix=ab&temperature=1&length=30&seed=")
    assert page.find("[name=seed]").get_attribute("placeholder") == str(parameters().seed)
    written = page.written()
    page.open(f"#model=gru&beside=&prefix=ab&temperature=1&length=30&seed={parameters().seed}")
    assert page.written() == written


def test_reading_names_what_it_reads_as_unk(page: Opened) -> None:
    page.open()
    page.browser.execute_script("arguments[0].value = 'abXb'", page.find("#text"))
    page.find("#reader button").click()
    status = page.find("#read-status")
    WebDriverWait(page.browser, 10).until(lambda _: "read as <unk>: " in status.text)
    assert status.text.endswith("; read as <unk>: \u2068X\u2069 (U+0058)")


def test_stop_and_go_on(tmp_path: Path) -> None:
    with chdir(tmp_path):
        models = write_page(tmp_path, parameters())
    with chromium(tmp_path / "profile") as browser:
        page = Opened(browser, (tmp_path / "index.html").as_uri(), models)
        page.open("#model=gru&beside=lstm&prefix=a&temperature=0&length=9000")
        WebDriverWait(browser, 10).until(
            lambda _: len(page.find("#written p").get_property("textContent")) > 200
        )
        page.find("#hold").click()
        stopped = page.written()
        assert page.written() == stopped
        expected = "a" + in_python(models["gru"], "a", 9000, Decoding())
        shown = expected.replace("\u202e", "<U+202E>").replace("\u0000", "␀")
        assert shown.startswith(stopped[0])
        assert 200 < len(stopped[0]) < len(shown)
        page.find("#hold").click()
        longer = page.written()
        assert shown.startswith(longer[0][: len(shown)])
        assert len(longer[0]) > len(stopped[0])
        assert longer[1].startswith(stopped[1])


def test_it_can_be_used_by_keyboard(page: Opened) -> None:
    page.open("#model=gru&beside=&prefix=a&temperature=0&length=5")
    page.written()
    keys = ActionChains(page.browser)
    keys.send_keys(
        Keys.TAB, "l", Keys.TAB, Keys.TAB
    ).perform()  # the model that begins with l; beside it; prefix
    assert page.browser.switch_to.active_element.get_attribute("name") == "prefix"
    keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys("bc", Keys.ENTER).perform()
    chosen = page.find("[name=model]").get_property("value")
    assert chosen in ("lstm", "layers")
    assert page.written() == ["bc" + in_python(page.models[chosen], "bc", 5, Decoding())]
    stops = []
    for _ in range(12):
        ActionChains(page.browser).send_keys(Keys.TAB).perform()
        active = page.browser.switch_to.active_element
        stops.append(active.get_attribute("name") or active.text or active.tag_name)
    assert stops[:8] == [
        "temperature",
        "top_k",
        "top_p",
        "seed",
        "length",
        "Write",
        "Go on",
        f"Copy {chosen}",
    ]


def test_any_text_can_be_read(page: Opened) -> None:
    page.open("#model=gru&beside=&prefix=a&length=5")
    text = page.find("#text")
    page.browser.execute_script("arguments[0].scrollIntoView()", text)
    status = page.find("#read-status")
    WebDriverWait(page.browser, 20).until(lambda _: "tied: perplexity" in status.text)
    text.clear()
    text.send_keys("abcX分")
    page.find("#reader button").click()
    model = page.models["gru"]
    ids = VOCAB.encode("abcX分")
    expected = score(model, torch.from_numpy(ids.astype(np.int64))).perplexity
    WebDriverWait(page.browser, 20).until(lambda _: f"gru: perplexity {expected:.4g}"[:18] in status.text)
    labels = page.browser.find_elements(By.CSS_SELECTOR, '[data-model="gru"] label')
    assert [label.text for label in labels] == ["b", "c", "<unk>", "分"]
    assert labels[0].get_attribute("data-loss").count("%") == 6


def test_what_does_not_fit_is_left_out_with_its_reason(tmp_path: Path) -> None:
    with chdir(tmp_path):
        write_page(tmp_path, parameters(report={"embed_megabytes": 0.0132}))
    with chromium(tmp_path / "profile") as browser:
        browser.get((tmp_path / "index.html").as_uri())
        text = browser.find_element(By.TAG_NAME, "body").text
        options = [option.text for option in browser.find_elements(By.CSS_SELECTOR, "[name=model] option")]
    assert options == ["rnn_relu", "tied"], "the smallest, in the order of params.yaml"
    assert re.search(
        r"gru cannot write here: its weights take 0\.0 MB, and 0\.0 MB of report\.embed_megabytes", text
    )


HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "&lt;b&gt;&#0;{{ 7 * 7 }}",
    "\u202e\u2066\u0000\u2028",
]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    text = "".join(HOSTILE)
    vocab = Vocab((UNK, *dict.fromkeys(text)), tuple(range(len(set(text)) + 1)))
    generate = {"prefixes": [text], "length": 30}
    params = parameters(models={"gru": {"cell": "gru", "hidden_size": 8}}, generate=generate)
    with chdir(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.reporting.test_writing.VOCAB", vocab)
        samples = [(text, text, {"gru": Sample(text, text)})]
        write_page(
            tmp_path,
            params,
            samples=samples,
            text_facts={text: text},
            provenance={text: text},
            params_yaml=text,
        )
    with chromium(tmp_path / "profile") as browser:
        browser.set_script_timeout(5)
        page = Opened(browser, (tmp_path / "index.html").as_uri(), {})
        page.open()
        (written,) = page.written()
        assert written.startswith(
            HOSTILE[0] + HOSTILE[1] + "&lt;b&gt;&#0;{{ 7 * 7 }}<U+202E><U+2066>␀<U+2028>"
        )
        assert browser.execute_script("return document.body.textContent").count(HOSTILE[0]) >= 5
        assert not browser.execute_script("return /[\\u202e\\u2066\\u2028]/.test(document.body.innerText)")
        # Whatever came into the page as markup still could not do anything.
        browser.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", HOSTILE[1][2:])
        browser.execute_script("location.hash = '#prefix=' + encodeURIComponent(arguments[0])", HOSTILE[1])
        script = "const done = arguments[0]; setTimeout(() => done(window.hacked ?? 'no'), 500)"
        assert browser.execute_async_script(script) == "no"
        values = browser.execute_script(
            "return [...document.querySelectorAll('textarea')].map((area) => area.value)"
        )
        assert values[0] == HOSTILE[1]
        assert "Failed to fetch" in browser.execute_async_script(
            "fetch('data:,x').then(arguments[0], (error) => arguments[0](String(error)))"
        )


def test_the_pipelines_page_writes_and_reads_as_the_pipeline_does(finished: Project, tmp_path: Path) -> None:
    losses = read_losses(finished.folder / "reports/losses/gru/valid.parquet", "")
    with chromium(tmp_path / "profile") as browser:
        browser.set_script_timeout(60)
        page = Opened(browser, (finished.folder / "reports/index.html").as_uri(), {})
        page.open()
        for model, prefix in product(("rnn", "gru"), ("分开", "不分开")):
            command = [
                "refrain",
                "write",
                "--model",
                model,
                "--prefix",
                prefix,
                "--length",
                "300",
                "--float16",
            ]
            found = page.call("write", model=model, prefix=prefix, length=300)
            assert f"{prefix}{found}\n" == finished.run(*command).stdout
            drawn = page.call(
                "write", model=model, prefix=prefix, length=300, temperature=0.8, topP=0.9, seed=7
            )
            command += ["--temperature", "0.8", "--top-p", "0.9", "--seed", "7"]
            assert f"{prefix}{drawn}\n" == finished.run(*command).stdout
        text = browser.execute_script("return document.querySelector('#text').value")
        nats = np.array(page.call("score", model="gru", text=text))
    assert len(nats) == len(losses.nats)
    assert abs(nats.mean() - losses.nats.mean()) < 1e-4, "what rounding the weights changes"
    assert np.abs(nats - losses.nats).max() < 1e-2


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(tmp_path: Path, dark: bool) -> None:
    axe = os.environ.get("REFRAIN_AXE")
    if not axe:
        pytest.skip("REFRAIN_AXE names no axe.min.js of axe-core")
    samples = [("a", "greedy", {name: Sample("b", "longest run 1") for name in MODELS})]
    with chdir(tmp_path):
        curves = pd.DataFrame({"step": [1, 2], "perplexity": [9.0, 4.0], "model": "gru", "split": "train"})
        write_page(tmp_path, parameters(), samples=samples, curves_svg=learning_curves(curves, ["gru"]))
    scheme = f"blink-settings=preferredColorScheme={0 if dark else 1}"
    with chromium(tmp_path / "profile", "window-size=1100,1400", scheme) as browser:
        page = Opened(browser, (tmp_path / "index.html").as_uri(), {})
        page.open()
        page.written()
        browser.set_script_timeout(60)
        browser.execute_script(Path(axe).read_text(encoding="utf-8"))
        found = browser.execute_async_script("axe.run().then(arguments[0])")
    wrong = [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in found["violations"]]
    assert wrong == []
    assert len(found["passes"]) > 20


def test_it_fits_a_phone(page: Opened) -> None:
    page.browser.set_window_size(500, 900)
    page.open()
    page.written()
    save(page.browser, "writing-phone")
    assert page.browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    page.browser.set_window_size(1100, 1400)
