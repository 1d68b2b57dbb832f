"""Wrong parameters and odd inputs of stages: one line and a status."""

import re

import pytest

from pipeline.tensors import read_metadata, read_tensors, write_tensors
from tests.support.project import Project

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("old", "new", "stage", "message"),
    [
        ("epochs: 4", "epochs: 0", "build_vocab", "params.yaml: train.epochs: 0 is wrong"),
        ("path: data/raw/lyrics.txt", "path: data/raw/none.txt", "build_vocab", "does not exist"),
        (
            "{train: 0.8, valid: 0.1, test: 0.1}",
            "{train: 1.0e-9, valid: 0.999999999, test: 0.0, by: position}",
            "build_vocab",
            "the training split of a text of 3000 character(s) is empty",
        ),
        (
            "[分开, 不分开]",
            "[Qx]",
            "build_vocab",
            "generate.prefixes: prefix 'Qx': not in the vocabulary: 'Q' (U+0051)",
        ),
        ("vocab: {unk: true", "vocab: {unk: false", "encode_corpus", "not in the vocabulary"),
        ("device: cpu", "device: cuda:9", "train", "runtime.device: 'cuda:9' is not on this machine"),
        ("batch_size: 8", "batch_size: 2000", "train", "lower train.batch_size"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    project: Project, old: str, new: str, stage: str, message: str
) -> None:
    project.edit(old, new)
    if message.startswith("generate"):
        project.edit("allow_unk: true", "allow_unk: false")
    before = {"build_vocab": [], "encode_corpus": ["build_vocab"], "train": ["build_vocab", "encode_corpus"]}
    for name in before[stage]:
        project.stage(name)
    arguments = ["gru"] if stage == "train" else []
    result = project.stage(stage, *arguments, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    debugged = project.stage(stage, *arguments, "--debug", check=False)
    assert "Traceback" in debugged.stderr


def test_model_of_weights_that_are_not_numbers_is_one_line(again: Project) -> None:
    path = again.folder / "models/gru.safetensors"
    weights = read_tensors(path)
    weights["decoder.bias"][0] = float("nan")
    write_tensors(path, weights, read_metadata(path))
    result = again.stage("evaluate", "gru", check=False)
    assert result.returncode == 1
    assert "error: models/gru.safetensors: the model's loss on this text is not finite" in result.stderr
    assert "Traceback" not in result.stderr


def test_text_changed_between_stages_is_noticed(project: Project) -> None:
    project.stage("build_vocab")
    path = project.folder / "data/raw/lyrics.txt"
    path.write_text(path.read_text(encoding="utf-8") + "多\n", encoding="utf-8")
    result = project.stage("encode_corpus", check=False)
    assert "changed while the pipeline ran: run `dvc repro` again" in result.stderr
    assert not (project.folder / "data/encoded").exists()


def test_a_stage_refuses_another_version_of_a_package(again: Project) -> None:
    """Also when DVC skips the stage `code`, because nothing in the project has changed."""
    constraints = again.folder / "constraints.txt"
    text = constraints.read_text(encoding="utf-8")
    constraints.write_text(re.sub(r"^numpy==.*$", "numpy==1.0", text, flags=re.MULTILINE), encoding="utf-8")
    for stage in ("build_vocab", "train"):
        result = again.stage(stage, *(["gru"] if stage == "train" else []), check=False)
        assert result.returncode == 1
        assert re.match(r"error: numpy [\d.]+ is installed, but constraints.txt pins 1.0: ", result.stderr)
