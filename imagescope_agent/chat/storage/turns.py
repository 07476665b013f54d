"""The table of turns: what was said and found, by conversation and number, and what the turn after each needs.

A turn is written once, when it ends, in one transaction with the counters of its conversation. A message is written
before any model is asked; as long as it is there, its turn has not ended. Numbers give the order, no clock does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from imagescope_agent.chat.storage.database import Database, Execute, create_tables, is_storage_error
from imagescope_agent.chat.storage.kept import (
    bounded_verdicts,
    check_state,
    check_turn,
    known_state,
    pack,
    to_text,
    unpack,
    without_turn,
)
from imagescope_agent.chat.storage.tables import TABLES, Conversation
from imagescope_agent.errors import BadInput
from imagescope_agent.records import NoteDict
from imagescope_agent.state import Turn, Verdicts, merge_verdicts, new_conversation

REMEMBERED = 64  # turns whose verdicts the next turn knows; what is older is asked again where it matters
REACH = 1000  # turns that undo and branches reach back
REACH_BYTES = 16 * 2**20  # of what the turns after these need, by conversation
MOST_NOTES = 10  # that wait for the next turn


class TurnTable:
    """The finished turns of all conversations in a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def setup(self) -> None:
        """Create the tables.

        Raises:
            sqlite3.Error, psycopg.Error: they cannot be written.
        """
        await create_tables(self.database, TABLES)

    async def is_there(self) -> bool:
        """Whether the tables are."""
        try:
            await self.database.fetch("select 1 from imagescope_turns limit 1")
        except Exception as error:
            if not is_storage_error(error):
                raise
            return False
        return True

    async def find(self, thread: str) -> Conversation | None:
        """A conversation, None where there is none of that thread_id."""
        rows = await self.database.fetch(f"{_SELECT} where thread = ?", thread)
        return _conversation(rows[0]) if rows else None

    async def all(self) -> list[Conversation]:
        """Every conversation, the last used one first."""
        return list(
            map(_conversation, await self.database.fetch(f"{_SELECT} order by used desc, thread desc"))
        )

    async def create(self, thread: str, about: Mapping[str, Any]) -> bool:
        """Begin a conversation; False where there is one of that name."""
        async with self.database.transaction() as execute:
            return await _create(execute, thread, about)

    async def accept(self, thread: str, message: Mapping[str, Any]) -> None:
        """Write down a message whose turn begins."""
        await self._update(thread, "pending = ?", to_text(message))

    async def withdraw(self, thread: str, notes: Iterable[NoteDict] = ()) -> None:
        """Forget the message whose turn has not ended; the notes say why where the user did not wish it."""
        known = await self.find(thread)
        every = [*(known.notes if known else []), *notes][-MOST_NOTES:]
        await self._update(thread, "pending = null, notes = ?", to_text(every) if every else None)

    async def finish(
        self, thread: str, number: int, turn: Turn, kept: Mapping[str, Any], verdicts: Verdicts
    ) -> None:
        """Write down a turn that ended.

        Args:
            thread: its conversation.
            number: from 1.
            turn: what was said and found.
            kept: what the next turn needs, beside what `OF_TURN` names and the verdicts.
            verdicts: those that the turn found.
        """
        about = {"last": turn["message"], "at": _now(), **({"first": turn["message"]} if number == 1 else {})}
        row = (thread, number, pack(turn), pack(kept), pack(verdicts))
        async with self.database.transaction() as execute:
            await execute("insert into imagescope_turns values (?, ?, ?, ?, ?)", *row)
            await _touch(execute, thread, number, about, "pending = null, notes = null, ")
            await _bound(execute, thread, number)

    async def undo(self, thread: str, number: int) -> None:
        """Remove the last turn, which has this number."""
        async with self.database.transaction() as execute:
            await execute("delete from imagescope_turns where thread = ? and number >= ?", thread, number)
            last = await _messages(execute, thread, number - 1)
            await _touch(execute, thread, number - 1, {**last, "at": _now()})

    async def copy(self, thread: str, number: int, other: str, about: Mapping[str, Any]) -> bool:
        """Begin a conversation with the first turns of another; False where there is one of that name.

        Raises:
            BadInput: one of these turns was taken back meanwhile; nothing is begun.
        """
        async with self.database.transaction() as execute:
            if not await _create(execute, other, about):
                return False
            await execute(
                "insert into imagescope_turns select cast(? as text), number, turn, kept, verdicts "
                "from imagescope_turns where thread = ? and number <= ?",
                other, thread, number,
            )  # fmt: skip
            copied = await execute("select count(*) from imagescope_turns where thread = ?", other)
            if copied[0][0] != number:
                raise BadInput(f"turn {number} was taken back just now; look at the conversation again")
            await _touch(execute, other, number, {**await _messages(execute, other, number), "at": _now()})
        return True

    async def delete(self, thread: str) -> None:
        """Delete a conversation and its turns."""
        async with self.database.transaction() as execute:
            await execute("delete from imagescope_turns where thread = ?", thread)
            await execute("delete from imagescope_conversations where thread = ?", thread)

    async def turns(self, thread: str) -> list[Turn]:
        """The finished turns, the first one first."""
        rows = await self.database.fetch(
            "select turn from imagescope_turns where thread = ? order by number", thread
        )
        return [check_turn(unpack(turn)) for (turn,) in rows]

    async def turn(self, thread: str, number: int) -> Turn:
        """One finished turn."""
        rows = await self.database.fetch(
            "select turn from imagescope_turns where thread = ? and number = ?", thread, number
        )
        return check_turn(unpack(rows[0][0]))

    async def state(self, thread: str, number: int) -> dict[str, Any] | None:
        """What the turn after this one needs; None where that is kept no more."""
        if number == 0:
            return {**new_conversation(), "verdicts": {}}
        rows = await self.database.fetch(
            "select number, turn, kept, verdicts from imagescope_turns "
            "where thread = ? and number <= ? and number > ? order by number",
            thread, number, number - REMEMBERED,
        )  # fmt: skip
        if not rows or rows[-1][0] != number or rows[-1][2] is None:
            return None
        verdicts: Verdicts = {}
        for row in rows:
            verdicts = merge_verdicts(verdicts, unpack(row[3]) if row[3] is not None else {})
        turn, kept = check_turn(unpack(rows[-1][1])), dict(unpack(rows[-1][2]))
        known = known_state(kept)
        verdicts = bounded_verdicts(verdicts, known)
        last: Turn = {**turn, "results": []}  # they stand in the state once
        known |= {"results": turn["results"], "turns": number, "turn": last}
        return check_state({**known, "verdicts": verdicts})

    async def replace(self, thread: str, number: int, kept: Mapping[str, Any]) -> None:
        """Write what the turn after this one needs anew: it was migrated."""
        async with self.database.transaction() as execute:
            await execute(
                "update imagescope_turns set kept = ? where thread = ? and number = ?",
                pack(without_turn(kept)), thread, number,
            )  # fmt: skip

    async def import_turns(
        self, thread: str, about: Mapping[str, Any], rows: Iterable[tuple[Turn, Any, Verdicts]], pending: Any
    ) -> None:
        """Write down a conversation with all its turns, as (turn, kept or None, verdicts) each."""
        async with self.database.transaction() as execute:
            if not await _create(execute, thread, about, pending):
                return
            number = 0
            for number, (turn, kept, verdicts) in enumerate(rows, 1):
                packed = None if kept is None else pack(without_turn(kept))
                row = (thread, number, pack(turn), packed, pack(verdicts))
                await execute("insert into imagescope_turns values (?, ?, ?, ?, ?)", *row)
            await _touch(execute, thread, number, {})

    async def _update(self, thread: str, change: str, *values: Any) -> None:
        async with self.database.transaction() as execute:
            await execute(f"update imagescope_conversations set {change} where thread = ?", *values, thread)


_SELECT = "select thread, turns, about, pending, notes from imagescope_conversations"


async def _create(execute: Execute, thread: str, about: Mapping[str, Any], pending: Any = None) -> bool:
    told = {"first": "", "last": "", "at": _now(), "parent": None, **about}
    made = await execute(
        "insert into imagescope_conversations select cast(? as text), coalesce(max(used), 0) + 1, 0, "
        "cast(? as text), cast(? as text), null from imagescope_conversations where true "
        "on conflict (thread) do nothing returning thread",
        thread, to_text(told), None if pending is None else to_text(pending),
    )  # fmt: skip
    return bool(made)


async def _touch(execute: Execute, thread: str, turns: int, about: Mapping[str, Any], more: str = "") -> None:
    """Count the turns of a conversation anew, which becomes the last used one."""
    rows = await execute("select about from imagescope_conversations where thread = ?", thread)
    await execute(
        f"update imagescope_conversations set {more}turns = ?, about = ?, "
        "used = (select coalesce(max(used), 0) + 1 from imagescope_conversations) where thread = ?",
        turns, to_text({**json.loads(rows[0][0]), **about}), thread,
    )  # fmt: skip


async def _messages(execute: Execute, thread: str, number: int) -> dict[str, str]:
    """The first message of a conversation and the last of so many turns."""
    rows = await execute(
        "select turn from imagescope_turns where thread = ? and number in (1, ?) order by number",
        thread,
        number,
    )
    said = [unpack(turn)["message"] for (turn,) in rows] if number else []
    return {"first": said[0] if said else "", "last": said[-1] if said else ""}


async def _bound(execute: Execute, thread: str, number: int) -> None:
    """Forget what the turns after the oldest ones need: more than `REACH` back, or beyond `REACH_BYTES`."""
    beyond = number - REACH
    if number % 32 == 0:
        sizes, total = await execute(
            "select number, length(kept) + coalesce(length(verdicts), 0) from imagescope_turns "
            "where thread = ? and number > ? and kept is not null order by number desc", thread, beyond
        ), 0  # fmt: skip
        for older, size in sizes:
            total += size
            if total > REACH_BYTES and older < number:
                beyond = max(beyond, older)
    if beyond > 0:
        await execute(
            "update imagescope_turns set kept = null, verdicts = null "
            "where thread = ? and number <= ? and number > ? and kept is not null",
            thread, beyond, 0 if number % 32 == 0 else beyond - 1,
        )  # fmt: skip


def _conversation(row: tuple[Any, ...]) -> Conversation:
    thread, turns, about, pending, notes = row
    told = json.loads(about)
    if not isinstance(turns, int) or not isinstance(told, dict):
        raise TypeError("a conversation is malformed")
    return Conversation(
        thread=thread,
        turns=turns,
        about=told,
        pending=None if pending is None else dict(json.loads(pending)),
        notes=[dict(each) for each in json.loads(notes or "[]")],
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()
