"""Training on several processes, and in groups of lanes, against training on one."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.training.ranks import _unpack
from tests.support.project import ROOT, Project, wait_for_checkpoint
from tests.support.training import Recorder, trainer

IDS = torch.randint(9, (400,), generator=torch.Generator().manual_seed(1))
SAMPLINGS = ["consecutive", "random", "classic_consecutive", "classic_random"]

RANK = """
import hashlib, json, sys
import torch
from pipeline.training.ranks import join_ranks
from tests.support.training import Recorder, trainer

IDS = torch.randint(9, (400,), generator=torch.Generator().manual_seed(1))
SAMPLINGS = ["consecutive", "random", "classic_consecutive", "classic_random"]

with join_ranks(torch.device("cpu")) as ranks:
    torch.set_num_threads(1)
    for sampling in SAMPLINGS:
        recorder = Recorder()
        work = trainer(IDS, recorder, ranks=ranks, sampling=sampling, batch_size=7, epochs=20)
        weights = work.run()
        perplexities = [epoch.train_perplexity for epoch in recorder.epochs]
        digest = hashlib.sha256(b"".join(w.numpy().tobytes() for w in weights.values())).hexdigest()
        states = [list(t.shape) for k, t in recorder.checkpoints[-1].items() if k.startswith("lanes.")]
        line = json.dumps([sampling, ranks.rank, perplexities, digest, states])
        print(f"\\n{line}\\n", end="", flush=True)
"""


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("accumulate", [2, 3, 50])
def test_lanes_in_groups_give_the_same_training(sampling: str, accumulate: int) -> None:
    curves = []
    for groups in (1, accumulate):
        recorder = Recorder()
        trainer(IDS, recorder, sampling=sampling, batch_size=7, epochs=10, accumulate=groups).run()
        curves.append([epoch.train_perplexity for epoch in recorder.epochs])
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert curves[0][-1] < curves[0][0]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_ranks_together_train_as_one_process_does(processes: int) -> None:
    """Over 100 steps, with seven lanes; at random, the last minibatch has fewer windows than ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    result = subprocess.run(
        [*command, "--no-python", sys.executable, "-c", RANK],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = [json.loads(line) for line in result.stdout.splitlines() if line]
    assert len(found) == processes * len(SAMPLINGS)
    for sampling in SAMPLINGS:
        recorder = Recorder()
        trainer(IDS, recorder, sampling=sampling, batch_size=7, epochs=20).run()
        expected = [epoch.train_perplexity for epoch in recorder.epochs]
        ours = [
            (perplexities, digest, states)
            for name, _, perplexities, digest, states in found
            if name == sampling
        ]
        assert len({digest for _, digest, _ in ours}) == 1, "the same weights on all ranks"
        for perplexities, _, states in ours:
            assert perplexities == pytest.approx(expected, rel=1e-4)
            assert states == [[2, 7, 12]], "a checkpoint has the lanes of all ranks"


def ranks_of(process: "subprocess.Popen[str]") -> list[int]:
    """Processes of a training's ranks, which the one that was started has as children."""
    found = subprocess.run(
        ["ps", "-o", "pid=,ppid=,args=", "-A"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [line.split(None, 2) for line in found]
    return sorted(
        int(pid) for pid, parent, args in rows if int(parent) == process.pid and "stages.train" in args
    )


@pytest.fixture
def on_two(new_project: Callable[[str], Project]) -> Project:
    """A project whose GRU trains some seconds on two processes, after its texts were encoded."""
    project = new_project("on_two")
    project.edit("  threads: 1\n", "  threads: 1\n  processes: 2\n")
    project.edit("  epochs: 4\n", "  epochs: 25\n")
    project.run("dvc", "repro", "encode_corpus")
    return project


@pytest.mark.slow
@pytest.mark.faults
def test_stopped_and_killed_ranks_go_on_to_the_same_result(on_two: Project) -> None:
    on_two.stage("train", "gru")
    whole = on_two.hashes("gru")
    (on_two.folder / ".checkpoints/gru.safetensors").unlink()

    process = on_two.start("python", "-m", "pipeline.stages.train", "gru")
    wait_for_checkpoint(on_two, process=process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "gru: stopped by SIGTERM" in output
    assert "Traceback" not in output
    stopped = (on_two.folder / ".checkpoints/gru.safetensors").stat().st_mtime

    process = on_two.start("python", "-m", "pipeline.stages.train", "gru")
    wait_for_checkpoint(on_two, stopped, process)
    os.kill(ranks_of(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert output.count("gru: going on from its checkpoint") == 2
    assert "Traceback" not in output
    assert on_two.hashes("gru") == whole


@pytest.mark.slow
def test_error_of_a_rank_is_one_line_and_the_end(on_two: Project) -> None:
    (shard,) = Path(on_two.folder / "data/encoded/train").glob("*.parquet")
    content = bytearray(shard.read_bytes())
    content[1000] ^= 4
    shard.write_bytes(content)
    result = on_two.stage("train", "gru", check=False)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: data/encoded/train/part-00000.parquet is damaged")


@pytest.mark.slow
def test_ranks_end_with_the_agent_that_started_them(on_two: Project) -> None:
    on_two.edit("  epochs: 25\n", "  epochs: 100000\n")
    process = on_two.start("python", "-m", "pipeline.stages.train", "gru")
    wait_for_checkpoint(on_two, process=process)
    assert len(ranks_of(process)) == 2
    process.kill()
    process.communicate(timeout=60)  # raises: the output ends when none of them is left to write to it


def test_ranks_unpack_no_code(tmp_path: Path) -> None:
    """What a stranger in a rank's place would send is refused; what ranks send comes through."""

    class Proof:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "proof"),)

    buffer = io.BytesIO()
    torch.save(Proof(), buffer)
    with pytest.raises(pickle.UnpicklingError):
        _unpack(torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8))
    assert not (tmp_path / "proof").exists()


@pytest.mark.slow
def test_processes_that_die_again_and_again_are_one_line() -> None:
    die = "import os; os.kill(os.getpid(), 9)"
    start = f"from pipeline.training.launch import launch_processes; launch_processes(2, 1, '-c', {die!r})"
    program = f"from pipeline.program import run_program\ndef main(): {start}\nrun_program(main)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: process ")
    assert "died 4 times, the last time by SIGKILL: check whether memory runs out" in line


@pytest.mark.slow
def test_dvc_takes_over_what_torchrun_has_trained(on_two: Project) -> None:
    """As on several machines: the checkpoint of two processes is that of one, too."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    on_two.run(sys.executable, *command, "-m", "pipeline.stages.train", "gru")
    trained = on_two.hashes("gru")
    on_two.edit("  processes: 2\n", "  processes: 1\n")
    said = on_two.run("dvc", "repro", "train@gru").stderr
    assert "gru: going on from its checkpoint, after its last step" in said
    assert on_two.hashes("gru") == trained
    assert "up to date" in on_two.run("dvc", "status", "train@gru").stdout


def test_more_processes_than_lanes_are_refused(on_two: Project) -> None:
    on_two.edit("  processes: 2\n", "  processes: 9\n")
    assert "is more than the 8 lane(s)" in on_two.stage("train", "gru", check=False).stderr
