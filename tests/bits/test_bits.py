"""The same bits on every x86-64 processor with AVX2: this one, with one thread and two, and emulated ones."""

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.project import ROOT, Project

pytestmark = [pytest.mark.bits, pytest.mark.slow]

EMULATED = ["Haswell", "EPYC-Rome"]
EMULATOR = shutil.which("qemu-x86_64")

NARROW = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Have libraries leave AVX-512 alone, which the emulator does not have."""

PROCESSORS = {
    "one thread": ([], 1, {}),
    "two threads": ([], 2, {}),
    "no AVX-512": ([], 2, NARROW),
    **{name: ([EMULATOR or "", "-cpu", name], 1, {}) for name in EMULATED},
}
"""By name: the command that emulates it, the number of threads, variables of the environment."""

Digests = dict[str, str]


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digests]:
    """What each processor computes. Two run side by side, for the emulated ones take minutes."""
    if platform.machine() != "x86_64":
        pytest.skip("the same bits are promised for x86-64")
    if not EMULATOR:
        pytest.skip("qemu-x86_64 is not installed: apt install qemu-user")

    def run(item: tuple[str, tuple[list[str], int, dict[str, str]]]) -> Digests:
        name, (emulator, threads, variables) = item
        folder = tmp_path_factory.mktemp("project") / name.replace(" ", "-")
        folder.mkdir()
        project = Project(folder)
        project.edit("threads: 1", f"threads: {threads}")
        project.edit("hidden_size: 16, num_layers: 1}", "hidden_size: 40}")  # wide enough for two threads
        log = folder / "log"
        with log.open("w") as output:
            done = subprocess.run(
                [*emulator, sys.executable, "-m", "tests.bits.digests", str(threads), str(project.folder)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), **variables},
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                check=False,
            )
        assert not done.returncode, log.read_text()
        return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PROCESSORS, pool.map(run, PROCESSORS.items()), strict=True))


@pytest.mark.parametrize("processor", [name for name in PROCESSORS if name != "one thread"])
@pytest.mark.parametrize("kind", ["operation", "training", "artifact"])
def test_the_bits_are_the_same(digests: dict[str, Digests], kind: str, processor: str) -> None:
    expected, found = (
        {name: value for name, value in digests[place].items() if name.startswith(kind)}
        for place in ("one thread", processor)
    )
    assert expected
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
