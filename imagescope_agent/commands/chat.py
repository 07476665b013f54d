"""`imagescope chat`: look for an image in a conversation, one turn a line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagescope_agent.commands import (
    TURN_SETTINGS,
    add_turn_arguments,
    days,
    given,
    json_text,
    path,
    plain,
    print_json,
)
from imagescope_agent.commands.describe import describe_chain, describe_ranking
from imagescope_agent.common.visible_text import said
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.records import Reason, Result, fulfilment_words

if TYPE_CHECKING:
    from imagescope_agent.chat import Chats, Session

LONGEST_TURN = 9  # digits
SHOWN = 3  # thumbnails a turn
HINT = "say what to look for, answer a question, or /help for the commands; end with /quit"
LEAVE = ("/quit", "/exit")
HELP = {  # every command
    "/like N": "search for more like the image at rank N",
    "/reject N": "never show the image at rank N again",
    "/where [FILTER]": "find only images that match, as date >= 2024-01-01 and folder = 'Rome'; alone: all again",
    "/image FILE|ID": "the next message says what should be different from this picture; without a name: none",
    "/also FILE|ID": "one more picture; the next message names them by their numbers: image 1, image 2",
    "/unlike FILE|ID": "a picture of what is not wanted, from the next message on",
    "/undo": "undo the last turn, and show what stands",
    "/branch [TURN]": "go on in a new conversation from after that turn, else from here",
    "/export [FILE]": "write the conversation as JSON to a new file, else print it",
    "/help": "list the commands",
    "/quit": "leave, as /exit and the end of input do; the conversation is kept",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("collection", type=path, metavar="COLLECTION", help="a folder that was indexed")
    parser.add_argument(
        "--thread", metavar="ID", help="go on with this conversation, or begin it (default: a new one)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a turn, a line each")
    parser.add_argument(
        "--export", action="store_true", help="print the whole conversation as one JSON document"
    )
    parser.add_argument(
        "--store", metavar="FILE|URL", help="where conversations are kept: SQLite file or postgresql://"
    )
    parser.add_argument("--list", action="store_true", help="list the conversations, the last used one first")
    parser.add_argument("--delete", metavar="ID", help="forget a conversation")
    parser.add_argument(
        "--prune", type=days, metavar="DAYS", help="forget the conversations not used for so many days"
    )
    parser.add_argument(
        "--compact",
        action="store_true",
        help="shrink the store: convert what older versions kept, give free room back to the disk",
    )
    parser.add_argument(
        "--no-pictures", action="store_true", help="show no thumbnails in terminals that could show them"
    )
    add_turn_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run a conversation on standard input; with --export print it at the end, and nothing else."""
    from imagescope_agent.chat import open_chats
    from imagescope_agent.services import open_services, profile_of

    services = open_services(args.profile or profile_of(args.collection), args.collection)
    settings = given(args, *TURN_SETTINGS)
    # lines are read outside the event loop, so that Ctrl-C interrupts the reading
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        chats = runner.run(stack.enter_async_context(open_chats(services, store=args.store, **settings)))
        try:
            if args.list or args.delete or args.compact or args.prune is not None:
                return manage_conversations(runner, chats, args)
            loop = ChatLoop(runner, args)
            opening = chats.get(args.thread, progress=loop.step) if args.thread else chats.create()
            loop.begin(runner.run(opening))
            if not (args.export and sys.stdin.isatty()):
                for line in read_lines(loop):
                    loop.take(line)
            if args.export:
                print_json(runner.run(loop.session.export()))
            return BadInput.exit_code if loop.refused else 0
        finally:
            runner.run(stack.aclose())


def manage_conversations(runner: asyncio.Runner, chats: Chats, args: argparse.Namespace) -> int:
    """List, delete or shrink conversations, without a turn in any."""
    if args.delete:
        runner.run(chats.delete(args.delete))
        print(plain(f"forgotten: {args.delete}"))
    if args.prune is not None:
        gone = runner.run(chats.prune(args.prune))
        print(plain(f"forgotten: {', '.join(gone) or 'none'}"))
    if args.compact:
        converted, before, after = runner.run(chats.compact())
        print(f"{converted} conversations converted; {before / 1e6:.2f} MB became {after / 1e6:.2f} MB")
    if args.list:
        rows = runner.run(chats.list())
        if args.json:
            print_json(rows)
        else:
            for row in rows:
                print(
                    plain(
                        f"{row['thread']}  {row['turns']} turns  {row['at'][:16]}  {shorten(row['first'], 60)}"
                    )
                )
    return 0


def read_lines(loop: ChatLoop) -> Iterator[str]:
    """The lines of standard input up to one that leaves, with a prompt on a terminal."""
    while True:
        if loop.watched:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line or line.strip().lower() in LEAVE:
            return
        yield said(line)


class ChatLoop:
    """Reads messages and commands, line by line, and prints turns.

    Args:
        runner: runs each turn.
        args: the command's arguments.
    """

    session: Session

    def __init__(self, runner: asyncio.Runner, args: argparse.Namespace) -> None:
        self.runner, self.args = runner, args
        self.watched = sys.stdin.isatty() and sys.stderr.isatty()
        self.images: list[str] = []
        self.unlike: list[str] = []
        self.refused = 0

    def begin(self, session: Session) -> None:
        """Continue with this conversation."""
        self.session = session
        if not (self.args.json or self.args.export):
            print(f"conversation {session.thread}")
        if self.watched:
            print(HINT, file=sys.stderr)

    def take(self, line: str) -> None:
        """Handle a line, a message or a command; a line that cannot be used is reported and changes nothing."""
        try:
            self._take(line)
        except BadInput as error:
            self.refused += 1
            print("imagescope: " + plain(" ".join(str(error).split())), file=sys.stderr)

    def step(self, name: str) -> None:
        """Show the progress of a turn on a terminal."""
        if self.watched:
            print(f"\r\033[K{name} ...", end="", file=sys.stderr, flush=True)

    def _take(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        if command == "/undo":
            self._undo()
        elif command == "/branch":
            turn = _turn(rest) if rest else None
            self.begin(self.runner.run(self.session.branch(turn)))
            self._tell({"branch": True}, "")
        elif command == "/image":
            image = self.session.reference(rest or None)
            self.images = [image] if image is not None else []
            self._tell({"image": image}, f"the next message goes with {rest!r}" if rest else "no image")
        elif command in ("/also", "/unlike"):
            self._bring(command, rest)
        elif command == "/export":
            self._export(rest)
        elif command == "/help":
            width = max(map(len, HELP))
            print("\n".join(f"{name:<{width}}  {what}" for name, what in HELP.items()), file=sys.stderr)
        elif command.startswith("/") and command.split()[0].lower() not in {n.split()[0] for n in HELP}:
            raise BadInput(f"there is no command {shorten(command, 40)!r}; /help lists them")
        else:
            brought = {"images": self.images, "unlike": self.unlike}
            turn_ = self.runner.run(self.session.say(line, **brought, progress=self.step))  # type: ignore[arg-type]
            self.images, self.unlike = [], []
            if self.watched:
                print("\r\033[K", end="", file=sys.stderr)
            self._tell(dict(turn_), "\n".join(describe(dict(turn_))))
            self._show(dict(turn_))

    def _bring(self, command: str, name: str) -> None:
        """Add a picture to the next message, as a reference or as what is not wanted."""
        picture = self.session.reference(name or None)
        if picture is None:
            raise BadInput(f"{command} needs a picture; give an id of the collection or a file")
        kind = "images" if command == "/also" else "unlike"
        held: list[str] = getattr(self, kind)
        held.append(picture)
        number = f"image {len(held)}" if kind == "images" else "not wanted"
        self._tell({kind: list(held)}, f"the next message goes with {name!r}: {number}")

    def _undo(self) -> None:
        """Undo the last turn, and show the one that stands."""
        left = self.runner.run(self.session.undo())
        stands = describe(dict(left[-1])) if left else ["nothing is looked for yet"]
        text = "\n".join([f"undone; {len(left)} turn{'s' if len(left) != 1 else ''} left", *stands])
        self._tell({"undone": True, "turns": len(left)}, text)

    def _export(self, file: str) -> None:
        """Write the conversation to a file that is not there yet, or print it.

        Raises:
            BadInput: there is such a file, or it cannot be written.
        """
        document = self.runner.run(self.session.export())
        if not file:
            print_json(document)
            return
        try:
            with Path(file).expanduser().open("x", encoding="utf-8") as out:
                out.write(json_text(document) + "\n")
        except OSError as error:
            raise BadInput(f"cannot write {file!r} ({error.strerror}); choose another name") from error
        self._tell({"export": file}, f"written to {plain(file)}")

    def _show(self, turn: dict[str, Any]) -> None:
        """The best images, where the terminal can show them."""
        if not self.watched or not sys.stdout.isatty() or self.args.json or self.args.export:
            return
        from imagescope_agent.chat.thumbnails import terminal_picture, terminal_protocol
        from imagescope_agent.retrieval.images import ImageProblem

        protocol = None if self.args.no_pictures else terminal_protocol()
        collection = self.session.store.services.collection
        for hit in turn["results"][: SHOWN if protocol else 0]:
            with suppress(ImageProblem):
                path, key = collection.path(hit["id"]), collection.key(hit["id"])
                print(f"{hit['rank']:>4}  {terminal_picture(path, protocol or '', key=key)}")

    def _tell(self, record: dict[str, Any], text: str) -> None:
        if self.args.json and not self.args.export:
            print(
                json_text({"thread": self.session.thread, **record}),
                flush=True,
            )
        elif not self.args.export and text:
            print(text, flush=True)


def describe(turn: dict[str, Any]) -> list[str]:
    """A turn in lines: the request, the ranking with the reasons as the page words them, notes, the question."""
    lines = [f"looking for: {plain(turn['request'])}"] if turn["request"] else []
    if where := turn.get("where"):
        lines.append(f"only where: {plain(where)}")
    lines += describe_chain(turn)
    for hit in turn["results"]:
        lines += [f"{hit['rank']:>4}  {plain(hit['id'])}", *map(_reason, Result.from_dict(hit).reasons)]
    lines += [*describe_ranking((), turn["notes"]), *fulfilment_words(turn.get("fulfilment"))]
    lines += [plain(remark) for remark in turn.get("remarks", [])]
    if turn["question"] is not None:
        lines.append(f"? {plain(turn['question']['text'])}")
    return lines


def _reason(reason: Reason) -> str:
    from imagescope_agent.chat.web.html import reason_words

    mark, words, certainty = reason_words(reason)
    told = f"{words} ({certainty})" if certainty else words
    return f"      {mark:<2}{plain(told)}"


def _turn(text: str) -> int:
    if not text.isdecimal() or len(text) > LONGEST_TURN:
        raise BadInput(f"{shorten(text, 40)!r} is no turn; give a number: /branch 2")
    return int(text)
