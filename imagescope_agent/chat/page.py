"""The page of `imagescope ui`: a conversation on the left, the ranked pictures on the right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from imagescope_agent.chat import Chats, Session, views
from imagescope_agent.chat.gate import browser_of
from imagescope_agent.chat.own import Own
from imagescope_agent.chat.pictures import data_uri, keep
from imagescope_agent.errors import ImageScopeError, shorten

AT_ONCE = 32  # turns in flight; models merge their requests into batches
LISTED = 50  # conversations to choose from
Update = dict[Any, Any]  # component -> its new value


class Page:
    """Builds the page and answers its events.

    Args:
        chats: the conversations.
        apart: each browser sees its own conversations only, for a page that many people use.
    """

    def __init__(self, chats: Chats, *, apart: bool = False) -> None:
        self.chats, self.apart = chats, apart
        self._at_work: set[asyncio.Task[Any]] = set()

    def blocks(self) -> gr.Blocks:
        """The page, its events wired."""
        collection = self.chats.services.collection
        page: gr.Blocks = gr.Blocks(
            title="ImageScope", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)
        )
        with page:
            # the name of the conversation is no secret: it only spares the user to look it up after a reload
            self.thread = gr.BrowserState("", storage_key="imagescope-thread", secret="imagescope")
            about = f"{len(collection)} images of {escape(shorten(collection.folder.name, 60))}"
            gr.HTML(f"<h1>ImageScope</h1><p>{about}</p>", elem_id="head")
            with gr.Row(equal_height=False):
                with gr.Column(scale=4, min_width=340):
                    self._conversation()
                with gr.Column(scale=7, min_width=420):
                    self.progress = gr.HTML(elem_id="progress")
                    self.gallery = gr.HTML(elem_id="gallery", js_on_load=views.CLICK)
            self._wire(page)
        return page

    def _conversation(self) -> None:
        with gr.Row(elem_classes="is-bar"):
            self.others = gr.Dropdown(
                [], elem_id="others", container=False, show_label=False, scale=4, min_width=160
            )
            self.new = gr.Button("New", elem_id="new", size="sm", scale=1, min_width=70)
        self.talk = gr.HTML(
            elem_id="talk", js_on_load=views.CLICK, min_height=300, max_height=560, autoscroll=True
        )
        self.message = gr.MultimodalTextbox(
            elem_id="message",
            show_label=False,
            sources=["upload"],
            file_types=["image"],
            placeholder="Say what to look for …",
            max_plain_text_length=100_000,
        )
        with gr.Row(elem_classes="is-bar"):
            self.undo = gr.Button("Undo last turn", elem_id="undo", size="sm", min_width=110)
            self.branch = gr.Button("Branch", elem_id="branch", size="sm", min_width=80)
            self.turn = gr.Dropdown(
                [], elem_id="turn", container=False, show_label=False, min_width=130, interactive=True
            )

    def _wire(self, page: gr.Blocks) -> None:
        shown = [self.thread, self.others, self.talk, self.message, self.turn, self.progress, self.gallery]

        def on(event: Callable[..., Any], answer: Callable[..., Any], *given: Any) -> None:
            event(
                answer,
                inputs=list(given),
                outputs=shown,
                show_progress="hidden",
                concurrency_limit=AT_ONCE,
                api_visibility="private",
            )

        on(page.load, self.opened, self.thread)
        on(self.message.submit, self.said, self.message, self.thread)
        on(self.talk.click, self.clicked, self.thread)
        on(self.gallery.click, self.clicked, self.thread)
        on(self.undo.click, self.undone, self.thread)
        on(self.branch.click, self.branched, self.thread, self.turn)
        on(self.new.click, self.begun)
        on(self.others.input, self.opened, self.others)

    def _own(self, request: gr.Request) -> Own:
        """The conversations of whoever asks."""
        return Own(self.chats, browser_of(dict(request.cookies)) if self.apart else None)

    async def opened(self, thread: str | None, request: gr.Request) -> AsyncIterator[Update]:
        """Show a conversation; one whose last turn was cut off is finished first."""
        own = self._own(request)
        if not thread:
            yield await self._view(own, None)
            return
        session: Session | None = None

        async def opening(step: Callable[[str], None]) -> None:
            nonlocal session
            session = await own.open(thread, progress=step)

        async for update in self._watched(opening, own, lambda: session):
            yield update

    async def said(
        self, message: dict[str, Any], thread: str | None, request: gr.Request
    ) -> AsyncIterator[Update]:
        """One turn of what was typed and, perhaps, a picture."""
        text, files = str(message.get("text") or ""), message.get("files") or []
        async for update in self._turn(self._own(request), thread, text, files[0] if files else None):
            yield update

    async def clicked(
        self, thread: str | None, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Update]:
        """One turn of what a button says: "like 3", "reject 2", "yes"."""
        async for update in self._turn(self._own(request), thread, str(event._data.get("say", "")), None):
            yield update

    async def undone(self, thread: str | None, request: gr.Request) -> AsyncIterator[Update]:
        """Take the last turn back."""
        own, session = self._own(request), None

        async def undo(step: Callable[[str], None]) -> None:
            nonlocal session
            session = await own.open(thread, progress=step)
            await session.undo()

        async for update in self._watched(undo, own, lambda: session):
            yield update

    async def branched(
        self, thread: str | None, turn: int | None, request: gr.Request
    ) -> AsyncIterator[Update]:
        """Go on in a new conversation from after a turn."""
        own, session = self._own(request), None

        async def branch(step: Callable[[str], None]) -> None:
            nonlocal session
            session = await own.open(thread, progress=step)
            session = await own.branch(session, int(turn) if turn is not None else None)

        async for update in self._watched(branch, own, lambda: session):
            yield update

    async def begun(self, request: gr.Request) -> Update:
        """An empty page; its conversation begins with the first message."""
        return await self._view(self._own(request), None)

    async def _turn(
        self, own: Own, thread: str | None, text: str, upload: str | None
    ) -> AsyncIterator[Update]:
        try:
            collection = self.chats.services.collection
            image = await asyncio.to_thread(keep, Path(upload), collection) if upload else None
            session = await own.open(thread) if thread else await own.create()
            turns = await session.turns()
        except ImageScopeError as error:
            yield {self.progress: views.problem(str(error))}
            return
        saying = await asyncio.to_thread(views.conversation, turns, self._picture, saying=text, image=image)
        yield {self.talk: saying, self.message: None}

        async def say(step: Callable[[str], None]) -> None:
            await session.say(text, image, progress=step)

        async for update in self._watched(say, own, lambda: session, text=text):
            yield update

    async def _watched(
        self,
        work: Callable[[Callable[[str], None]], Coroutine[Any, Any, None]],
        own: Own,
        session: Callable[[], Session | None],
        *,
        text: str = "",
    ) -> AsyncIterator[Update]:
        """Do the work, showing every step as it is done; then the conversation as it stands.

        The work goes on when the browser leaves, since a turn that was accepted is finished.
        """
        steps: asyncio.Queue[str | None] = asyncio.Queue()
        start, done = time.monotonic(), list[str]()
        task = asyncio.create_task(work(steps.put_nowait))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        task.add_done_callback(lambda _: steps.put_nowait(None))
        yield {self.progress: views.progress(done, working=True)}
        while (step := await steps.get()) is not None:
            done.append(step)
            yield {self.progress: views.progress(done, working=True)}
        error = task.exception()
        if error is not None and not isinstance(error, ImageScopeError):
            raise error
        if error is None:
            told = views.progress(done, working=False, seconds=time.monotonic() - start)
            yield {**await self._view(own, session()), self.progress: told}
            return
        given = {self.message: {"text": text, "files": []}} if text else {}
        yield {**await self._view(own, session()), **given, self.progress: views.problem(str(error))}

    async def _view(self, own: Own, session: Session | None) -> Update:
        """Everything the page shows of a conversation."""
        rows = (await own.list())[:LISTED]
        known = [
            (f"{shorten(row['last'], 40) or 'nothing yet'} ({row['thread']})", row["thread"]) for row in rows
        ]
        state = await session.state() if session else {}
        turns = state.get("turns", [])
        talk = await asyncio.to_thread(views.conversation, turns, self._picture)
        last, liked = turns[-1] if turns else None, state.get("liked", [])
        found = await asyncio.to_thread(views.gallery, last, self._picture, liked=liked)
        thread = session.thread if session else ""
        numbers = [
            (f"after turn {number}" if number else "at the start", number) for number in range(len(turns) + 1)
        ]
        return {
            self.thread: thread,
            self.others: gr.Dropdown(choices=known, value=thread or None),
            self.talk: talk,
            self.turn: gr.Dropdown(choices=numbers, value=len(turns)),
            self.gallery: found,
            self.progress: "",
        }

    def _picture(self, name: str) -> str:
        return data_uri(name, self.chats.services.collection)
