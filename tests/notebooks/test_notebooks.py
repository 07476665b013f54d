"""Every notebook runs from top to bottom on the models that ship, and is committed without outputs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
RICH = (
    "photos",
    "quickstart",
    "trace_anatomy",
    "compare_judges",
    "products",
    "learnt_composition",
    "reason_then_embed",
)  # a result or a trace is shown in them
LIMIT = 400  # seconds a cell


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """One kernel for all notebooks, so that the models are read once."""
    from jupyter_client.manager import KernelManager

    folder = tmp_path_factory.mktemp("notebooks")
    for data in FOLDER.glob("*.jsonl"):
        shutil.copy(data, folder)
    # sockets in a folder of its own: the port that a kernel is told may be another process's when it takes it
    sockets = tempfile.mkdtemp(prefix="kernel")
    manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/s")
    manager.start_kernel(cwd=str(folder), env={**os.environ, "IPYTHONDIR": str(folder / "ipython")})
    yield manager, folder
    manager.shutdown_kernel(now=True)
    manager.context.destroy(linger=0)
    shutil.rmtree(sockets, ignore_errors=True)


def test_all_are_here() -> None:
    names = [file.stem for file in NOTEBOOKS]
    first = ["chat_session", "compare_judges", "learnt_composition", "photos", "products"]
    assert names == [*first, "quickstart", "reason_then_embed", "trace_anatomy"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_committed_without_outputs(file: Path) -> None:
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_imports_nothing_of_a_measurement(file: Path) -> None:
    assert "lab.benchmarks" not in file.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file: Path, kernel: tuple[Any, Path]) -> None:
    manager, folder = kernel
    book = nbformat.read(file, as_version=4)
    book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    client = nbclient.NotebookClient(
        book, km=manager, timeout=LIMIT, resources={"metadata": {"path": str(folder)}}
    )
    try:
        client.execute()
    finally:
        client.kc.stop_channels()
    shown = [output for cell in book.cells for output in cell.get("outputs", ())]
    if file.stem in RICH:
        assert any("text/html" in output.get("data", {}) for output in shown)
