"""The command line: `imagescope COMMAND ...`.

Each command is a line of COMMANDS and a module of `imagescope_agent.commands` with `add_arguments(parser)`
and `run(args) -> exit code`, which imports what is heavy, so that `imagescope --help` answers at once.

Exit codes: 0 done; 2 bad input; 3 backend unavailable; 4 finished, but degraded more than was allowed;
130 stopped by the user, work kept.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from imagescope_agent.common.redact import learn, redact
from imagescope_agent.errors import BadInput, ImageScopeError

COMMANDS = {  # name: (module, help), in the order of the help
    "demo": ("demo", "draw a collection, index it, search it, and write a page with pictures"),
    "index": ("index", "index a folder of images: recursive, resumable, incremental"),
    "add": ("add", "index single files of an indexed folder"),
    "remove": ("remove", "take files out of an index; the pictures stay"),
    "vectors": ("vectors", "bring vectors that exist into an index, or write those of an index to files"),
    "migrate": ("migrate", "move an index to another vector store; the same rankings"),
    "migrate-store": ("migrate_store", "move conversations, searches and traces into PostgreSQL"),
    "search": ("search", "rank the images of an indexed folder for a text, or a text and an image"),
    "chat": ("chat", "look for an image in a conversation, one turn a line; nothing that was said is lost"),
    "ui": ("ui", "the conversation as a web page on this machine"),
    "serve": ("serve", "search, conversations and reranking over HTTP, for other programs"),
    "serve-model": ("serve_model", "a model of a profile over HTTP, for other machines (OpenAI-compatible)"),
    "mcp": ("mcp", "a collection as tools for agents, over the Model Context Protocol"),
    "trace": ("trace", "show what a run did, why its ranking is what it is, and what it cost"),
    "scenes": ("scenes", "draw scenes, with queries and dialogs whose right answers are known"),
    "eval": ("evaluate", "measure a graph on a data set"),
    "score": ("score", "metrics of a given run or submission file, without any model"),
    "compare": ("compare", "are runs on the same queries really different"),
    "calibrate": ("calibrate", "fit on your own judged queries when a search says that nothing fits"),
    "triplets": (
        "triplets",
        "build training triplets for composed search from the images of an indexed folder",
    ),
    "annotate": (
        "annotate",
        "write the chains of thought that lead from references and words to their targets",
    ),
    "train": ("train", "train a composer on triplets, or the models that ship; measure what they can do"),
    "doctor": ("doctor", "check a profile on this machine: every model loaded, asked, compared with itself"),
    "bench": ("bench", "measure ways of asking models, side by side"),
    "graphs": ("lists", "list the graphs, one line each"),
    "judges": ("lists", "list the judges, one line each"),
    "profiles": ("lists", "list the profiles, one line each"),
}
STOPPED = 130
DISK_PROBLEMS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
    errno.EACCES: "permission denied: choose a folder you may read and write",
    errno.EPERM: "not permitted: choose a folder you may read and write",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.EEXIST: "there is something else of that name: choose another",
    errno.EISDIR: "it is a folder: choose another name",
    errno.ELOOP: "links that lead in a circle: choose another path",
    errno.EINVAL: "not a regular file or a usable name: choose another",
}
#: Options of which an empty value says something: no patterns.
MAY_BE_EMPTY = ("exclude", "text")


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line, like every other bad input."""

    def error(self, message: str) -> NoReturn:
        from imagescope_agent.commands import plain

        told = plain(redact(" ".join(message.split())))
        self.exit(BadInput.exit_code, f"{self.prog}: {told} (see `{self.prog} --help`)\n")


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    from imagescope_agent import __doc__ as about
    from imagescope_agent.commands import version

    parser = _Parser(prog="imagescope", description=about)
    parser.add_argument("--version", action="version", version=f"imagescope {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module_name, summary) in COMMANDS.items():
        module = importlib.import_module(f"imagescope_agent.commands.{module_name}")
        command = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `imagescope`; the process's own when None.

    Returns:
        The exit code.
    """
    learn(list(sys.argv[1:] if argv is None else argv))  # an address with a password may stand in any of them
    parser = build_parser()
    args = parser.parse_args(argv)
    _require_values(parser, args)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a file name may hold bytes the terminal cannot show
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn their developers; ours speak through notes
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except ImageScopeError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("stopped; finished work is kept, the same command goes on from there", STOPPED)
    except BrokenPipeError:
        # the reader (`| head`) has seen enough; a closed stdout must not complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        where = error.filename2 or error.filename
        problem = DISK_PROBLEMS.get(error.errno, f"{error.strerror}: choose another file or folder")
        return _complain((f"{where!r}: " if where else "") + problem, BadInput.exit_code)


def _require_values(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse an argument without a value, as from a variable of a script that is not set, and what is no text."""
    for name, value in vars(args).items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and not each.strip() and name not in MAY_BE_EMPTY:
                parser.error(f"argument {name.replace('_', '-')}: an empty value; give one, or leave it out")
            if isinstance(each, str | Path) and not _is_text(str(each)):
                parser.error(f"{str(each)!a} is not valid UTF-8 text; give the file or folder another name")


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complain(message: str, code: int) -> int:
    from imagescope_agent.commands import plain

    print("imagescope: " + plain(redact(" ".join(message.split()))), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
