from pathlib import Path

from pipeline.versions import pinned_versions


def test_of_several_lines_for_a_package_the_one_for_this_python_counts(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(
        "# a comment: torch==9.9\n"
        "torch==2.13.0 ; python_version >= '3' \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
        "torch==1.0 ; python_version < '3' \\\n    --hash=sha256:02\n"
        "vl_convert.python[extra, other]==1.9.0.post1 --hash=sha256:03\n"
        "numpy==1.0 ; (sys_platform == 'none' or python_version < '3') and os_name == 'none'\n",
        encoding="utf-8",
    )
    assert pinned_versions(constraints) == {"torch": "2.13.0", "vl-convert-python": "1.9.0.post1"}
