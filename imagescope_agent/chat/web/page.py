"""The page of `imagescope ui`: a conversation on the left, the ranked pictures on the right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import gradio as gr

from imagescope_agent.chat.chats import Chats
from imagescope_agent.chat.session import Session
from imagescope_agent.chat.thumbnails import data_uri, keep
from imagescope_agent.chat.titles import titled
from imagescope_agent.chat.web import html as views
from imagescope_agent.chat.web.access_control import browser_of, user_id
from imagescope_agent.chat.web.user_scope import UserChats
from imagescope_agent.errors import ImageScopeError, shorten

CONCURRENT_TURNS = 32  # models merge their requests into batches
LISTED = 50  # conversations to choose from
NEW = ("New conversation", "")  # the first of them
EXAMPLE, EXAMPLES, SOUGHT = 60, 3, 100  # characters of one, how many, and among how many captions
WAITING = "What you said is kept: it is answered first when you say more or open the conversation again."
SAY, DIFFERENT = "Say what to look for …", "Say what should be different …"
LIKE_IT = "one like this"  # the message of a picture without words
Update = dict[Any, Any]  # component -> its new value


class Page:
    """Builds the page and answers its events.

    Args:
        chats: the conversations.
        apart: each browser sees its own conversations only, for a page with several users.
        named: these have names of their own: each sees their conversations in any browser.
    """

    def __init__(self, chats: Chats, *, apart: bool = False, named: bool = False) -> None:
        self.chats, self.apart, self.named = chats, apart, named
        self._running: set[asyncio.Task[Any]] = set()

    def blocks(self) -> gr.Blocks:
        """The page with its event handlers."""
        collection = self.chats.services.collection
        page: gr.Blocks = gr.Blocks(
            title="ImageScope", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)
        )
        with page:
            # the name of the conversation is no secret: it is kept so that a reload shows the same one
            self.thread = gr.BrowserState("", storage_key="imagescope-thread", secret="imagescope")
            self.brought = gr.State("")  # the id of the picture that the next message is about
            folder = shorten(collection.folder.name, 60)
            gr.HTML(views.head(len(collection), folder, leave=self.apart), elem_id="head")
            with gr.Row(elem_id="app", equal_height=False):
                with gr.Column(elem_id="conversation", min_width=0):
                    self._conversation()
                with gr.Column(elem_id="found", min_width=0):
                    self.gallery = gr.HTML(elem_id="gallery", js_on_load=views.SCRIPT)
            self.large = gr.HTML(views.large(), elem_id="large", js_on_load=views.SCRIPT)
            self._wire(page)
        return page

    def _conversation(self) -> None:
        with gr.Row(elem_classes="is-bar"):
            self.others = gr.Dropdown(
                [NEW], elem_id="others", label="Conversation", container=False, show_label=False, min_width=120,
                filterable=False,
            )  # fmt: skip
            self.new = gr.Button("New", elem_id="new", size="sm", scale=0, min_width=64)
        self.talk = gr.HTML(elem_id="talk", js_on_load=views.SCRIPT, autoscroll=True)
        with gr.Column(elem_id="say", min_width=0):
            self.bringing = gr.HTML(elem_id="bringing", js_on_load=views.SCRIPT)
            self.message = gr.MultimodalTextbox(
                elem_id="message",
                label="Message",
                show_label=False,
                sources=["upload"],
                file_types=["image"],
                file_count="multiple",
                placeholder=SAY,
                max_lines=6,
                max_plain_text_length=100_000,
            )
            self.progress = gr.HTML(views.progress([], working=False), elem_id="progress")

    def _wire(self, page: gr.Blocks) -> None:
        shown = [self.thread, self.others, self.talk, self.message, self.progress, self.gallery, self.brought,
                 self.bringing]  # fmt: skip

        def on(event: Callable[..., Any], answer: Callable[..., Any], *given: Any) -> None:
            event(
                answer,
                inputs=list(given),
                outputs=shown,
                show_progress="hidden",
                concurrency_limit=CONCURRENT_TURNS,
                api_visibility="private",
            )

        on(page.load, self.opened, self.thread)
        on(self.message.submit, self.said, self.message, self.thread, self.brought)
        for part in (self.talk, self.gallery, self.large, self.bringing):
            on(part.click, self.clicked, self.thread)
        on(self.new.click, self.begun)
        on(self.others.input, self.opened, self.others)

    def _user_chats(self, request: gr.Request) -> UserChats:
        """The conversations of the user who sent the request."""
        if self.named:
            return UserChats(self.chats, user_id(request.username or ""))
        return UserChats(self.chats, browser_of(dict(request.cookies)) if self.apart else None)

    async def opened(self, thread: str | None, request: gr.Request) -> AsyncIterator[Update]:
        """Show a conversation; an interrupted last turn is finished first."""
        own = self._user_chats(request)
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
        self, message: dict[str, Any], thread: str | None, brought: str, request: gr.Request
    ) -> AsyncIterator[Update]:
        """Run a turn with the typed message and, where given, an image."""
        own, files = self._user_chats(request), message.get("files") or []
        text = str(message.get("text") or "") or (LIKE_IT if files or brought else "")
        async for update in self._turn(own, thread, text, uploads=files, brought=brought):
            yield update

    async def clicked(
        self, thread: str | None, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Update]:
        """What a button says: a message ("like 3", "yes"), or something to do without one."""
        own, pressed = self._user_chats(request), {key: str(value) for key, value in event._data.items()}
        match pressed.get("do"):
            case "undo":
                updates = self._undone(own, thread)
            case "branch":
                updates = self._branched(own, thread, pressed.get("turn", ""))
            case "bring":
                updates = self._bring(pressed.get("name", ""))
            case _:
                updates = self._turn(own, thread, pressed.get("say", ""))
        async for update in updates:
            yield update

    async def _undone(self, own: UserChats, thread: str | None) -> AsyncIterator[Update]:
        """Undo the last turn."""
        session: Session | None = None

        async def undo(step: Callable[[str], None]) -> None:
            nonlocal session
            session = await own.open(thread, progress=step)
            await session.undo()

        async for update in self._watched(undo, own, lambda: session):
            yield update

    async def _branched(self, own: UserChats, thread: str | None, turn: str) -> AsyncIterator[Update]:
        """Branch: a new conversation that continues after a turn."""
        session: Session | None = None

        async def branch(step: Callable[[str], None]) -> None:
            nonlocal session
            session = await own.open(thread, progress=step)
            session = await own.branch(session, int(turn) if turn.isdecimal() else None)

        async for update in self._watched(branch, own, lambda: session):
            yield update

    async def _bring(self, name: str) -> AsyncIterator[Update]:
        """Make an image of the collection the reference of the next message; "" for none."""
        name = name if name in self.chats.services.collection else ""
        small = await asyncio.to_thread(self._picture, name) if name else ""
        asked = gr.MultimodalTextbox(placeholder=DIFFERENT if name else SAY)
        yield {self.brought: name, self.bringing: views.bringing(name, small), self.message: asked}

    async def begun(self, request: gr.Request) -> Update:
        """Clear the page; the new conversation is created with its first message."""
        return await self._view(self._user_chats(request), None)

    async def _turn(
        self, own: UserChats, thread: str | None, text: str, *, uploads: Sequence[str] = (), brought: str = ""
    ) -> AsyncIterator[Update]:
        try:
            collection = self.chats.services.collection
            kept = [await asyncio.to_thread(keep, Path(upload), collection) for upload in uploads]
            images = [*([brought] if brought else []), *kept]  # in the order of their numbers
            session = await own.open(thread) if thread else await own.create()
            turns = await session.turns()
        except ImageScopeError as error:
            yield {self.progress: views.problem(str(error))}
            return
        saying = await asyncio.to_thread(views.conversation, turns, self._picture, saying=text, images=images)
        cleared = gr.MultimodalTextbox(value=None, placeholder=SAY)
        yield {self.talk: saying, self.message: cleared, self.brought: "", self.bringing: ""}

        async def say(step: Callable[[str], None]) -> None:
            await session.say(text, images=images, progress=step)

        async for update in self._watched(say, own, lambda: session, text=text):
            yield update

    async def _watched(
        self,
        work: Callable[[Callable[[str], None]], Coroutine[Any, Any, None]],
        own: UserChats,
        session: Callable[[], Session | None],
        *,
        text: str = "",
    ) -> AsyncIterator[Update]:
        """Run the work and show its progress, then the conversation.

        The work continues when the browser disconnects: an accepted turn is finished.
        """
        steps: asyncio.Queue[str | None] = asyncio.Queue()
        start, done = time.monotonic(), list[str]()
        task = asyncio.create_task(work(steps.put_nowait))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
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
        current, told = session(), str(error)
        given: Update = {}
        if text and current is not None and await current.pending() is not None:
            told = f"{told} {WAITING}"  # said again, it would be answered twice
        elif text:
            given = {self.message: {"text": text, "files": []}}
        yield {**await self._view(own, current), **given, self.progress: views.problem(told)}

    async def _view(self, own: UserChats, session: Session | None) -> Update:
        """Everything the page shows of a conversation."""
        thread = session.thread if session else ""
        rows = [row for row in await own.list() if row["turns"] or row["thread"] == thread][:LISTED]
        state = await session.state() if session else {}
        turns = state.get("turns", [])
        talk = await asyncio.to_thread(
            views.conversation, turns, self._picture, examples=[] if turns else self._examples
        )
        found = await asyncio.to_thread(
            views.gallery,
            turns[-1] if turns else None,
            self._picture,
            liked=state.get("liked", []),
            folder=None if self.apart else self.chats.services.collection.folder,
            samples=[] if turns else self._spread(views.SHOWN),
        )
        return {
            self.thread: thread,
            self.others: gr.Dropdown(choices=[NEW, *titled(rows)], value=thread),
            self.talk: talk,
            self.gallery: found,
            self.progress: views.progress([], working=False),
            self.brought: "",
            self.bringing: "",
        }

    def _spread(self, count: int) -> list[str]:
        """Ids of so many images, spread over the collection, the same each time."""
        ids = self.chats.services.collection.ids
        return list(ids[:: max(1, len(ids) // count)][:count])

    @cached_property
    def _examples(self) -> list[str]:
        """What the captions of some images say, where they are short enough for a message."""
        captions = map(self.chats.services.collection.caption, self._spread(SOUGHT))
        return [each for each in dict.fromkeys(captions) if 0 < len(each) <= EXAMPLE][:EXAMPLES]

    def _picture(self, name: str) -> str:
        return data_uri(name, self.chats.services.collection)
