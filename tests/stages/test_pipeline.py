"""The whole pipeline, run by DVC in a repository of its own."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.artifacts import file_sha256
from tests.support.project import Project

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
    assert list(metrics) == ["rnn", "gru", "uniform", "unigram", "bigram", "ngram", "held-out"]
    yardstick, recited = metrics.pop("held-out")["recited"], metrics["gru"].pop("recited")
    assert metrics["rnn"].pop("recited").keys() == recited.keys()
    assert list(recited) == ["greedy", "temperature 0.8, top-k 50, top-p 0.9"]
    for figures in (yardstick, *recited.values()):
        assert 1 <= figures["longest"] <= 20
        assert 0 <= figures["share"] <= 1
    vocab_size = pq.read_table(finished.folder / "data/vocab.parquet").num_rows
    for name, splits in metrics.items():
        assert sum(m["characters"] + 1 for m in splits.values()) == 3000
        assert list(splits) == ["train", "valid", "test"]
        assert all(
            set(m) - {"order"} == {"perplexity", "bits_per_character", "nats_per_character", "characters"}
            for m in splits.values()  # too short for an interval
        )
        assert all(("order" in m) == (name == "ngram") for m in splits.values())
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
    assert set(rows[0]) == {"model", "prefix", "text", "temperature", "top_k", "top_p", "seed", "recited"}
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
    assert "reports/perplexity.json" in shown
    finished.run("dvc", "plots", "show", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "perplexity.tsv" in page


def test_report_is_one_page_that_needs_no_network(finished: Project) -> None:
    page = (finished.folder / "reports/index.html").read_text(encoding="utf-8")
    for text in (
        "<svg",
        "分开",
        "bigram",
        "-gram",
        "recited: longest run ",
        "Held-out passages of the same length, on average: longest run ",
        json.loads((finished.folder / "code.json").read_text(encoding="utf-8"))["report"],
        "top_p: 0.9",
    ):
        assert text in page
    outside = page.replace("http://www.w3.org/", "")
    for reference in ("http://", "https://", "<link", "src=", "import(", "fetch("):
        assert reference not in outside, reference


def test_each_model_has_a_card_that_model_hubs_read(finished: Project) -> None:
    evaluated = json.loads((finished.folder / "reports/evaluate/gru.json").read_text(encoding="utf-8"))
    card = (finished.folder / "reports/models/gru.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    metadata = YAML(typ="safe").load(front)
    assert metadata["license"] == "cc0-1.0"
    assert metadata["language"] == "zh"
    (of_gru,) = metadata["model-index"]
    assert of_gru["name"] == "gru"
    assert [(r["dataset"]["split"], r["metrics"][0]["value"]) for r in of_gru["results"]] == [
        (split, evaluated["splits"][split]["perplexity"]) for split in ("valid", "test")
    ]
    for fact in (
        "2 layers, 16 units",
        evaluated["weights_sha256"],
        "| bigram |",
        "longest run",
        "dropout: 0.2",
    ):
        assert fact in text


def test_a_tagged_model_is_found_by_its_name(again: Project, tmp_path: Path) -> None:
    again.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    again.commit("remote")
    again.run("dvc", "push")
    again.run("git", "tag", "--annotate", "gru@v1.0.0", "--message", "first")
    again.run(
        "dvc", "artifacts", "get", str(again.folder), "gru", "--rev", "v1.0.0", "--out", str(tmp_path / "gru")
    )
    assert (tmp_path / "gru").read_bytes() == (again.folder / "models/gru.safetensors").read_bytes()


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
    assert changed["reports/perplexity.json"]["gru.train"]["diff"] != 0
    assert not any(key.startswith("rnn.") for key in changed["reports/perplexity.json"])
    project.run("dvc", "plots", "diff", "HEAD~1", "-o", "plots-diff")
    assert "HEAD~1" in (project.folder / "plots-diff/index.html").read_text(encoding="utf-8")


def test_people_can_sample_from_the_command_line(finished: Project) -> None:
    command = ["refrain", "write", "--model", "gru", "--length", "15"]
    greedy = finished.run(*command, "--prefix", "分开", "--prefix", "不分开").stdout.splitlines()
    assert [line[:2] for line in greedy] == ["分开", "", "不分"]
    assert [len(line) for line in greedy] == [17, 0, 18]
    assert len(finished.run(*command[:-2], "--prefix", "分").stdout) == len("分") + 20 + len("\n")
    warm = [*command, "--prefix", "分Q", "--allow-unk", "--temperature", "0.8", "--top-k", "9"]
    warm += ["--top-p", "0.9"]
    assert finished.run(*warm, "--seed", "3").stdout != finished.run(*warm, "--seed", "4").stdout
    wrong = finished.run(*command, "--prefix", "Qx", check=False)
    assert wrong.returncode == 1
    assert "'Q' (U+0051)" in wrong.stderr
    assert finished.run(*command, "--prefix", "分", "--temperature", "-1", check=False).returncode == 2
    wrong = finished.run(*command, "--prefix", "分", "--length", "ten", check=False)
    assert "'ten' is not a number of type int" in wrong.stderr
    wrong = finished.run(*command, "--prefix", "分", "--top-k", "5", check=False)
    assert "error: --top-k and --top-p choose what to draw from: give --temperature" in wrong.stderr


def test_show_prints_perplexities_and_two_samples_a_model(finished: Project) -> None:
    shown = finished.run("refrain", "show").stdout
    assert "bigram" in shown
    assert shown.count("  分开") == shown.count("  不分开") == 2
