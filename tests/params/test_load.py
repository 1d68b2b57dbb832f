from pathlib import Path

import pytest

from pipeline.commands import check
from pipeline.errors import RefrainError
from pipeline.params.load import load_params
from tests.support.project import PARAMS, ROOT


def load(tmp_path: Path, *edits: tuple[str, str]):
    text = PARAMS
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return load_params(path)


def test_the_projects_own_file_is_right() -> None:
    assert load_params(ROOT / "params.yaml").models


def test_a_models_own_training_parameters_win(tmp_path: Path) -> None:
    params = load(tmp_path, ("num_layers: 1}", "num_layers: 1, train: {epochs: 9, clip: null}}"))
    assert params.train_params("rnn").epochs == 9
    assert params.train_params("rnn").clip is None
    assert params.train_params("gru").epochs == 4


def test_a_models_own_samples_need_not_repeat_every_key(tmp_path: Path) -> None:
    params = load(tmp_path, ("num_layers: 1}", "num_layers: 1, train: {sample: {every: 0}}}"))
    assert params.train_params("rnn").sample.every == 0
    assert params.train_params("rnn").sample.length == params.train.sample.length


@pytest.mark.parametrize(
    ("path", "hint"),
    [("none.txt", "refrain texts"), ("~/poems", f"write {Path.home()}"), ("https://x.invalid/a", None)],
)
def test_text_that_is_not_there_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, hint: str | None
) -> None:
    load(tmp_path, ("path: data/raw/lyrics.txt", f"path: {path}"))
    monkeypatch.chdir(tmp_path)
    if hint is None:
        check.main()  # whether a server has it is for the stage to find out
        return
    with pytest.raises(RefrainError, match=f"corpus.path: '{path}' does not exist") as caught:
        check.main()
    if "~" not in path:
        assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("path", "files", "message"),
    [
        ("htps://example.org/x.txt", "null", "corpus.path: DVC cannot read htps:// URLs"),
        ("folder", "'*.md'", r"corpus.path folder: no file in it matches '\*.md'"),
        ("folder/a.txt", "'*.txt'", "works only with a folder or .zip"),
    ],
)
def test_text_settings_that_cannot_work_are_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, files: str, message: str
) -> None:
    load(tmp_path, ("path: data/raw/lyrics.txt", f"path: {path}"), ("files: null", f"files: {files}"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.txt").write_text("a", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefrainError, match=message):
        check.main()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 4", "epochs: four", "train.epochs: 'four' is wrong: input should be a valid integer"),
        ("epochs: 4", "epochs: 0", "train.epochs: 0 is wrong: input should be greater than or equal to 1"),
        ("epochs: 4", "epochs: 4.5", "train.epochs: 4.5 is wrong"),
        ("epochs: 4", "epochs: true", "train.epochs: True is wrong"),
        ("epochs: 4", "epoch: 4", "train.epoch: unknown key; did you mean epochs?"),
        ("clip: 1.0", "clip: .nan", "train.clip: nan is wrong"),
        ("learning_rate: 0.01", "learning_rate: -1", "train.learning_rate: -1 is wrong"),
        (
            "optimizer: adam",
            "optimizer: adagrad",
            "train.optimizer: 'adagrad' is wrong: input should be 'sgd'",
        ),
        ("normalize: lyrics", "normalise: lyrics", "corpus.normalise: unknown key; did you mean normalize?"),
        ("rnn: {cell: rnn", "rnn: {cel: rnn", "models.rnn.cel: unknown key; did you mean cell?"),
        (
            "rnn: {cell: rnn",
            "rnn: {cell: rnnn",
            "models.rnn.cell: 'rnnn' is wrong: input should be one of gru, lstm, rnn",
        ),
        (
            "rnn: {cell: rnn",
            "rnn: {bidirectional: true, cell: rnn",
            "models.rnn.bidirectional: true lets a model see the character that it has to predict",
        ),
        ("rnn: {cell: rnn", "rnn: {init_std: 0, cell: rnn", "models.rnn.init_std: 0 is wrong"),
        ("  rnn: {", "  bigram: {", "models.bigram: this is the name of the bigram baseline"),
        ("  rnn: {", "  ngram: {", "models.ngram: this is the name of the ngram baseline"),
        ("  rnn: {", "  my model: {", "models.my model: 'my model' is wrong: string should match pattern"),
        (
            "num_layers: 1}",
            "num_layers: 1, tied: true}",
            "models.rnn: tied: true makes the embedding and the decoder share one table",
        ),
        (
            "num_layers: 2,",
            "num_layers: 2, nonlinearity: relu,",
            "nonlinearity: relu works only with cell: rnn, not gru",
        ),
        ("num_layers: 1}", "num_layers: 1, train: {epochs: x}}", "models.rnn.train.epochs: 'x' is wrong"),
        ("num_layers: 1}", "num_layers: 1, train: {lr: 1}}", "models.rnn.train.lr: unknown key"),
        ("test: 0.1}", "test: 0.2}", "corpus.split: the three fractions sum to 1.1, not 1"),
        ("train: 0.8, valid: 0.1", "train: 0.0, valid: 0.9", "the training split is empty"),
        ("unk: true, min_count: 1", "unk: false, min_count: 2", "min_count: 2 leaves characters out: set"),
        ("seed: 1", "", "seed: missing"),
        ("seed: 1", "seed: 1\nseed: 2", "line 3: not valid YAML: found duplicate key"),
        ("seed: 1", "seed: [", "not valid YAML"),
        ("top_p: 0.9", "topp: 0.9", "generate.decoding.1.topp: unknown key; did you mean top_p?"),
        ("temperature: 0.8", "temperature: 0.001", "0.001 is too close to 0 to divide by"),
        ("threads: 1", "threads: 2000", "runtime.threads: 2000 is wrong"),
        ("device: cpu", "device: gpu", "runtime.device: 'gpu' is wrong: input should be auto, cpu, cuda"),
        ("device: cpu", "device: cuda:x", "runtime.device: 'cuda:x' is wrong"),
        ("  threads: 1", "  processes: 9", "runtime.processes: 9 is more than the 8 lane(s) of a minibatch"),
        ("  threads: 1", "  workers: 2", "runtime.workers: unknown key; did you mean text_workers?"),
        ("vocab: {unk: true, min_count: 1}\n", "", "vocab: missing"),
        ("num_layers: 1}", "num_layers: 1000000000}", "models.rnn.num_layers: 1000000000 is wrong"),
        ("top_p: 0.9", "top_p: 1.5", "generate.decoding.1.top_p: 1.5 is wrong"),
        ("prefixes: [分开, 不分开]", "prefixes: []", "generate.prefixes: [] is wrong"),
        (
            "path: data/raw/lyrics.txt",
            "path: texts/*/a*.txt",
            "set corpus.path to 'texts' and corpus.files to '*/a*.txt'",
        ),
        ("path: data/raw/lyrics.txt", "path: '*.txt'", "set corpus.path to '.' and corpus.files to '*.txt'"),
    ],
)
def test_errors_name_the_key_and_the_fix(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RefrainError) as caught:
        load(tmp_path, (old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["keep: last", "patience: null"])
def test_choosing_by_validation_needs_a_validation_split(tmp_path: Path, key: str) -> None:
    better = {"keep: last": "keep: best", "patience: null": "patience: 2"}[key]
    with pytest.raises(RefrainError, match=r"set corpus\.split\.valid above 0"):
        load(
            tmp_path,
            (key, better),
            ("train: 0.8, valid: 0.1, test: 0.1", "train: 1.0, valid: 0.0, test: 0.0"),
        )


def test_absent_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RefrainError, match="run from the project's folder"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", ["", "[]", "x"])
def test_file_that_is_no_mapping(tmp_path: Path, content: str) -> None:
    (tmp_path / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(RefrainError, match="the file"):
        load_params(tmp_path / "params.yaml")


def test_every_key_has_a_default_but_those_that_nobody_can_guess(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "seed: 1\ncorpus: {path: a.txt}\nvocab: {}\ntrain: {}\nmodels: {gru: {cell: gru}}\n"
        "generate: {prefixes: [a]}\n"
    )
    params = load_params(path)
    assert params.models["gru"].hidden_size == 256
    assert params.runtime.device == "auto"
    assert params.train_params("gru").num_steps == 35


def test_a_device_that_is_not_there_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(
        tmp_path, ("device: cpu", "device: cuda:9"), ("path: data/raw/lyrics.txt", "path: https://x.invalid")
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefrainError, match=r"runtime\.device: 'cuda:9' is not on this machine"):
        check.main()


def test_the_gates_own_section_is_checked_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path, ("max_regression: 0.01", "max_regresion: 0.01"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefrainError, match=r"gate\.max_regresion: unknown key; did you mean max_regression"):
        check.main()
