"""The whole pipeline, run by DVC in a repository of its own."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.artifacts import file_sha256
from pipeline.tensors import read_metadata, read_tensors, write_tensors
from tests.support.project import LONG_TRAINING, Project, stored_epoch, wait_for_checkpoint

pytestmark = pytest.mark.slow


def test_artifacts_are_there_and_say_where_they_come_from(finished: Project) -> None:
    data = finished.folder / "data"
    vocab = pq.read_table(data / "vocab.parquet")
    assert vocab.column_names == ["id", "char", "count"]
    characters = 0
    for split in ("train", "valid", "test"):
        table = pq.read_table(data / "encoded" / split / "part-00000.parquet")
        assert str(table.schema.field("id").type) == "uint16"
        metadata = json.loads(table.schema.metadata[b"refrain"])
        assert metadata["vocab_sha256"] == file_sha256(data / "vocab.parquet")
        assert metadata["corpus_sha256"] == file_sha256(data / "raw" / "lyrics.txt")
        assert metadata["characters"] == table.num_rows
        characters += table.num_rows
    assert characters == 3000


def test_metrics_hold_every_model_split_and_baseline(finished: Project) -> None:
    metrics = json.loads((finished.folder / "reports/metrics.json").read_text(encoding="utf-8"))
    assert list(metrics) == ["rnn", "gru", "uniform", "unigram", "bigram"]
    vocab_size = pq.read_table(finished.folder / "data/vocab.parquet").num_rows
    for name, splits in metrics.items():
        assert {split: m["characters"] for split, m in splits.items()} == {
            "train": 2399,
            "valid": 299,
            "test": 299,
        }
        assert all(
            set(m) == {"perplexity", "bits_per_character", "nats_per_character", "characters"}
            for m in splits.values()
        )
        if name == "uniform":
            assert splits["test"]["perplexity"] == pytest.approx(vocab_size)
    assert metrics["gru"]["train"]["perplexity"] < metrics["uniform"]["train"]["perplexity"]


def test_samples_continue_every_prefix_for_every_model_and_decoding(finished: Project) -> None:
    lines = (finished.folder / "reports/samples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(r["model"], r["temperature"], r["prefix"]) for r in rows] == [
        (m, t, p) for m in ("rnn", "gru") for t in (0.0, 0.8) for p in ("分开", "不分开")
    ]
    assert {len(r["text"]) for r in rows} == {20}
    assert set(rows[0]) == {"model", "prefix", "text", "temperature", "top_k", "top_p", "seed"}
    markdown = (finished.folder / "reports/samples.md").read_text(encoding="utf-8")
    assert "## gru, temperature 0.8, top-k 50, top-p 0.9" in markdown
    assert f"- <b>分开</b>{rows[0]['text']}" in markdown


def test_nothing_is_left_to_do(finished: Project) -> None:
    assert "Data and pipelines are up to date." in finished.run("dvc", "status").stdout
    assert finished.run("dvc", "repro").stdout.count("didn't change, skipping") == 11
    assert finished.run("git", "status", "--porcelain").stdout == ""
    assert not list((finished.folder / ".checkpoints").glob("*")), "finished trainings leave no checkpoint"


def test_dvc_shows_metrics_and_plots(finished: Project, tmp_path: Path) -> None:
    shown = finished.run("dvc", "metrics", "show", "--md").stdout
    assert "reports/metrics.json" in shown
    assert "reports/train/gru/metrics.json" in shown
    finished.run("dvc", "plots", "show", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "perplexity.tsv" in page


def test_report_is_one_page_that_needs_no_network(finished: Project) -> None:
    page = (finished.folder / "reports/index.html").read_text(encoding="utf-8")
    for text in (
        "<svg",
        "分开",
        "bigram",
        json.loads((finished.folder / "code.json").read_text(encoding="utf-8"))["report"],
        "top_p: 0.9",
    ):
        assert text in page
    outside = page.replace("http://www.w3.org/", "")
    for reference in ("http://", "https://", "<script", "<link", "src="):
        assert reference not in outside, reference


def test_forced_run_in_another_folder_gives_the_same_bytes(finished: Project, again: Project) -> None:
    shutil.rmtree(again.folder / ".dvc/cache")
    again.run("dvc", "repro", "--force")
    assert again.hashes() == finished.hashes()
    assert again.run("git", "status", "--porcelain").stdout == ""


def test_forced_training_begins_anew_also_where_nothing_ran_after_it(again: Project) -> None:
    forced = ["dvc", "repro", "--force", "--single-item", "train@rnn"]
    for _ in range(2):
        assert "going on from its checkpoint" not in again.run(*forced).stderr
    note = again.folder / ".checkpoints/rnn.md5"
    assert note.exists()
    note.write_text("of a model that DVC has not recorded")
    assert "going on from its checkpoint" in again.run(*forced).stderr


def test_lstm_is_a_change_of_params_alone_and_retrains_nothing_else(again: Project) -> None:
    again.edit("generate:\n", "  lstm: {cell: lstm, hidden_size: 8, num_layers: 1}\ngenerate:\n")
    output = again.run("dvc", "repro").stdout
    for stage in ("train", "evaluate", "generate"):
        assert f"Running stage '{stage}@lstm'" in output
        assert f"Stage '{stage}@gru' didn't change" in output
    metrics = json.loads((again.folder / "reports/metrics.json").read_text(encoding="utf-8"))
    assert "lstm" in metrics


def test_model_taken_out_of_params_leaves_nothing_behind(again: Project) -> None:
    """Also dvc.lock is then what another clone would get."""
    again.edit("  rnn: {cell: rnn, hidden_size: 16, num_layers: 1}\n", "")
    output = again.run("dvc", "repro").stderr
    assert "models/rnn.safetensors: params.yaml no longer has this model: moved to .archive/" in output
    assert [path.name for path in (again.folder / "models").glob("*.safetensors")] == ["gru.safetensors"]
    assert [path.name for path in (again.folder / "reports/train").iterdir()] == ["gru"]
    assert (again.folder / ".archive/models/rnn.safetensors").exists()
    lock = (again.folder / "dvc.lock").read_bytes()
    again.commit("gru alone")
    again.run("git", "clean", "-fdxq", "-e", ".dvc")
    again.run("dvc", "repro")
    assert (again.folder / "dvc.lock").read_bytes() == lock


def test_parameters_invalidate_what_depends_on_them_only(finished: Project) -> None:
    def changed(old: str, new: str) -> set[str]:
        finished.edit(old, new)
        try:
            status = json.loads(finished.run("dvc", "status", "--json").stdout)
        finally:
            finished.edit(new, old)
        return {
            stage
            for stage, causes in status.items()
            if any("changed deps" in cause and "params.yaml" in cause["changed deps"] for cause in causes)
        }

    assert changed("device: cpu\n  threads: 1", "device: auto\n  threads: 2") == set()
    assert changed("temperature: 0.8", "temperature: 0.7") == {"generate@rnn", "generate@gru", "report"}
    assert "train@rnn" not in changed("hidden_size: 16, num_layers: 2", "hidden_size: 20, num_layers: 2")
    assert {"train@rnn", "train@gru"} <= changed("epochs: 4", "epochs: 5")


def test_experiments_and_diffs_between_commits(again: Project) -> None:
    project = again
    project.run("dvc", "exp", "run", "-S", "models.gru.hidden_size=24", "-n", "wider")
    assert "wider" in project.run("dvc", "exp", "show", "--csv").stdout
    project.commit("wider GRU")
    changed = json.loads(project.run("dvc", "metrics", "diff", "HEAD~1", "--json").stdout)
    assert changed["reports/metrics.json"]["gru.train.perplexity"]["diff"] != 0
    assert not any(key.startswith("rnn.") for key in changed["reports/metrics.json"])
    project.run("dvc", "plots", "diff", "HEAD~1", "-o", "plots-diff")
    assert "HEAD~1" in (project.folder / "plots-diff/index.html").read_text(encoding="utf-8")


def test_killed_trainings_go_on_to_the_same_bits(new_project: Callable[[str], Project]) -> None:
    """kill -9 of the whole process group at random moments, until the run comes through."""
    whole, broken = new_project("whole"), new_project("broken")
    for project in (whole, broken):
        for old, new in LONG_TRAINING:
            project.edit(old, new)
        project.run("dvc", "repro", "encode_corpus")
    whole.run("dvc", "repro", "train@gru")
    moments = random.Random(4)
    for _ in range(3):
        started = time.time()
        process = broken.start("dvc", "repro", "train@gru")
        wait_for_checkpoint(broken, started)
        time.sleep(moments.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert stored_epoch(broken) < 120, "the training was over before it was killed"
    output = broken.run("dvc", "repro", "train@gru")
    assert "going on from its checkpoint" in output.stderr
    ours, theirs = broken.hashes("gru"), whole.hashes("gru")
    assert "models/gru.safetensors" in ours
    assert ours == theirs


def test_terminated_training_says_so_and_goes_on(project: Project) -> None:
    for old, new in LONG_TRAINING:
        project.edit(old, new)
    project.edit("checkpoint_seconds: 0.2", "checkpoint_seconds: 1000.0")
    project.stage("build_vocab")
    project.stage("encode_corpus")
    process = project.start("python", "-m", "pipeline.stages.train", "gru")
    assert process.stdout is not None
    assert "epoch 50/120" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "gru: stopped by SIGTERM in epoch" in output
    assert (project.folder / ".checkpoints/gru.safetensors").exists()
    assert not (project.folder / "models/gru.safetensors").exists()
    assert "going on from its checkpoint" in project.stage("train", "gru").stderr
    resumed = project.hashes("gru")
    (project.folder / ".checkpoints/gru.safetensors").unlink()
    project.stage("train", "gru")
    assert "models/gru.safetensors" in resumed
    assert project.hashes("gru") == resumed
    project.edit("learning_rate: 0.01", "learning_rate: 0.02")
    process = project.start("python", "-m", "pipeline.stages.train", "gru")
    assert process.stdout is not None
    assert "starting from scratch" in process.stdout.readline()
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("old", "new", "stage", "message"),
    [
        ("epochs: 4", "epochs: 0", "build_vocab", "params.yaml: train.epochs: 0 is wrong"),
        ("path: data/raw/lyrics.txt", "path: data/raw/none.txt", "build_vocab", "does not exist"),
        (
            "{train: 0.8, valid: 0.1, test: 0.1}",
            "{train: 1.0e-9, valid: 0.999999999, test: 0.0}",
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


def test_people_can_sample_from_the_command_line(finished: Project) -> None:
    command = ["refrain", "write", "--model", "gru", "--length", "15"]
    greedy = finished.run(*command, "--prefix", "分开", "--prefix", "不分开").stdout.splitlines()
    assert [line[:2] for line in greedy] == ["分开", "不分"]
    assert [len(line) for line in greedy] == [17, 18]
    warm = [*command, "--prefix", "分Q", "--allow-unk", "--temperature", "0.8", "--top-k", "9"]
    warm += ["--top-p", "0.9"]
    assert finished.run(*warm, "--seed", "3").stdout != finished.run(*warm, "--seed", "4").stdout
    wrong = finished.run(*command, "--prefix", "Qx", check=False)
    assert wrong.returncode == 1
    assert "'Q' (U+0051)" in wrong.stderr
    assert finished.run(*command, "--prefix", "分", "--temperature", "-1", check=False).returncode == 2


def test_show_prints_perplexities_and_two_samples_a_model(finished: Project) -> None:
    shown = finished.run("refrain", "show").stdout
    assert "bigram" in shown
    assert shown.count("  分开") == shown.count("  不分开") == 2
