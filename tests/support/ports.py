"""Which ports a project's processes have open, what programs connect to, and programs without a network."""

import re
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

LOOPBACK = re.compile(r"127\.|::1$|::ffff:127\.")


def processes_at(folder: Path) -> list[psutil.Process]:
    """Processes at work in a folder or below, without zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def listeners(folder: Path) -> list[tuple[str, int]]:
    """Addresses and ports at which processes of a folder listen."""
    return [
        (connection.laddr.ip, connection.laddr.port)
        for process in processes_at(folder)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def traced(log: Path) -> list[str]:
    """A command's start, under which strace notes in ``log`` what it and its children connect and bind to.

    It has a network of its own without a way out where the system allows that.
    """
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (Debian: apt install strace)")
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if (
        not shutil.which("ip")
        or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode
    ):
        alone = []
    return [*alone, "strace", "--follow-forks", "--seccomp-bpf", "--trace=connect,bind", f"--output={log}"]


def addresses_outside(log: Path) -> list[str]:
    """Internet addresses other than loopback that strace has noted."""
    found = re.findall(
        r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', log.read_text(errors="replace")
    )
    return [address for pair in found for address in pair if address and not LOOPBACK.match(address)]
