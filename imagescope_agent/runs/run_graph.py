"""Run a compiled graph: its configuration, its steps as they end, its judge; with or without an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig

from imagescope_agent.judges import OWN_JUDGE
from imagescope_agent.mllms.batch import one_caller
from imagescope_agent.settings import Settings

#: Called with the name of each step and what it changed in the state, when it is done.
Progress = Callable[[str, Mapping[str, Any]], None]

_Value = TypeVar("_Value")

THREADS = 8  # for what blocks: embedding, decoding pictures


async def streamed(
    graph: Any,
    query: dict[str, Any] | None,
    config: RunnableConfig,
    progress: Progress | None,
    **options: Any,
) -> dict[str, Any]:
    """Run a graph to its end and return its state; tells each step as it ends.

    All its requests are one caller's, so that a run that asks much gets no larger share of a model than others.
    """
    with one_caller():
        return await _streamed(graph, query, config, progress, **options)


async def _streamed(
    graph: Any,
    query: dict[str, Any] | None,
    config: RunnableConfig,
    progress: Progress | None,
    **options: Any,
) -> dict[str, Any]:
    state: dict[str, Any] = {}
    if progress is None:
        async for values in graph.astream(query, config, stream_mode="values", **options):
            state = values
        return state
    async for mode, chunk in graph.astream(query, config, stream_mode=["updates", "values"], **options):
        if mode == "values":
            state = chunk
        else:
            for step, update in chunk.items():
                progress(step, update if isinstance(update, dict) else {})
    return state


def judge_of(graph: Any, settings: Settings) -> str:
    """Who judges in a compiled graph: whom the settings name, else the graph's own (its metadata's "judge")."""
    metadata = (graph.config or {}).get("metadata", {})
    return settings.judge or str(metadata.get("judge", OWN_JUDGE))


def run_sync(work: Coroutine[Any, Any, _Value]) -> _Value:
    """Run a coroutine to its end, also where an event loop is already running (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_run, work).result()


class _KeptThreads(ThreadPoolExecutor):
    """Threads that outlive the event loop of one run: each has threads of torch behind it once it has embedded."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Called when an event loop ends; the threads stay."""


class _Loop(asyncio.SelectorEventLoop):
    """An event loop; the threads that it uses stay, so none is started to wait for their end."""

    _pid = -1
    _process = staticmethod(os.getpid)  # the names of modules are gone when an interpreter ends

    def __init__(self) -> None:
        super().__init__()
        self._pid = self._process()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Called when the loop ends."""

    def close(self) -> None:
        """Close it; not in a forked process, which would take the parent's files out of its selector."""
        if self._pid == self._process():
            super().close()

    def __del__(self) -> None:
        """Closed with its process, without a warning."""
        if self._pid == self._process() and not self.is_closed():
            self.close()


@cache
def _threads(pid: int) -> _KeptThreads:
    """The threads of this process; those of the process that it was forked from do not run in it."""
    return _KeptThreads(THREADS, thread_name_prefix="imagescope-run")


class _Kept:
    """The runner of the main thread, and the process that it belongs to: a forked one has a loop of its own."""

    runner: asyncio.Runner | None = None
    pid = 0


_KEPT = _Kept()


def _run(work: Coroutine[Any, Any, _Value]) -> _Value:
    """Run in an event loop; that of the main thread stays for the next run unless this one failed or left tasks.

    Other threads are many or short, and what an open loop holds of the system would outlive them.
    """
    if threading.current_thread() is not threading.main_thread():
        with asyncio.Runner(loop_factory=_Loop) as own:
            own.get_loop().set_default_executor(_threads(os.getpid()))
            return own.run(work)
    found: list[_Value] = []

    async def kept() -> None:  # without a result, of which the runner would make text when it ends
        found.append(await work)

    runner, _KEPT.runner = _KEPT.runner, None
    if runner is None or _KEPT.pid != os.getpid():
        runner = asyncio.Runner(loop_factory=_Loop)
    try:
        loop = runner.get_loop()
        loop.set_default_executor(_threads(os.getpid()))
        runner.run(kept(), context=copy_context())
        if not asyncio.all_tasks(loop):
            _KEPT.runner, _KEPT.pid = runner, os.getpid()
        return found[0]
    finally:
        if _KEPT.runner is not runner:
            runner.close()


def run_config(run: str, **metadata: str) -> RunnableConfig:
    """The configuration of a run under an id, with what is kept beside it."""
    return {"configurable": {"thread_id": run}, "metadata": metadata}
