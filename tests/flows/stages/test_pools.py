from flows.stages.graph import Stage
from flows.stages.pools import assign_pools
from tests.support.prefect import run_flow
from tests.support.project import Project

GRAPH = [
    Stage("build_vocab", (), True, "text"),
    Stage("train@rnn", ("build_vocab",), True, "training"),
    Stage("train@gru", ("build_vocab",), True, "training"),
    Stage("report", ("train@rnn", "train@gru"), True),
]


def test_a_pool_is_found_by_name_before_label() -> None:
    mixed = assign_pools(GRAPH, {"training": "gpu", "train@rnn": "cpu"})
    assert mixed == {"train@rnn": "cpu", "train@gru": "gpu"}
    assert assign_pools(GRAPH, {"train": "gpu", "text": "cpu"}) == {
        "build_vocab": "cpu",
        "train@rnn": "gpu",
        "train@gru": "gpu",
    }
    assert assign_pools(GRAPH, {}) == {}


def test_a_pool_has_two_sides(project: Project) -> None:
    result = run_flow(project, "reproduce", "--pool", "gpu")
    assert result.stderr.endswith("--pool gpu: it should be LABEL=POOL\n")
    result = run_flow(project, "reproduce", "--pool", "training=gpu")
    assert "--pool: set PREFECT_API_URL" in result.stderr
