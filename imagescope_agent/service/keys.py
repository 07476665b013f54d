"""Which key opens which collection, and where a service without keys may listen."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from imagescope_agent.chat.server import is_loopback
from imagescope_agent.common.redact import learn
from imagescope_agent.common.untrusted import read_file
from imagescope_agent.errors import BadInput, suggest

MOST_BYTES = 2**20  # of a key file
SHORTEST = 8  # characters of a key


def read_keys(file: Path | None, default: str, names: Iterable[str]) -> dict[str, str]:
    """The key of each collection, "" for none.

    Args:
        file: TOML of name = "key"; None for none.
        default: key of the collections that the file does not name.
        names: of the collections.

    Raises:
        BadInput: the file is unreadable, names another collection, or holds something that is no key.
    """
    told: Mapping[str, object] = {} if file is None else _read(file)
    known = [*names]
    for name, key in told.items():
        if name not in known:
            raise BadInput(
                f"{str(file)!r} has a key for {name!r}, which is not served; {suggest(name, known)}"
            )
        if not isinstance(key, str) or len(key) < SHORTEST or not key.isascii():
            raise BadInput(
                f"the key of {name!r} in {str(file)!r} must be text of at least {SHORTEST} characters"
            )
    keys = {name: str(told.get(name, default)) for name in known}
    for key in keys.values():
        learn({"api_key": key})
    return keys


def _read(file: Path) -> Mapping[str, object]:
    try:
        found: Mapping[str, object] = tomllib.loads(read_file(file, MOST_BYTES).decode("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f'cannot read the keys in {str(file)!r}: {error}; give a TOML file of name = "key"'
        ) from error
    return found


def check_address(host: str, keys: Mapping[str, str], *, variable: str) -> None:
    """Refuse an address that other machines can reach where a collection has no key.

    Raises:
        BadInput: one has none.
    """
    without = [name for name, key in keys.items() if not key]
    if without and not is_loopback(host):
        raise BadInput(
            f"at {host!r} other machines could see {without[0]!r}; set a key in {variable} or --keys, "
            "or leave --host out"
        )


def check_separate(keys: Mapping[str, str], shared: Iterable[str]) -> None:
    """Refuse to keep the runs of collections with different keys in one file: whoever opens one could read all.

    Args:
        keys: by collection.
        shared: variables that name such a file.

    Raises:
        BadInput: there are both.
    """
    if len(set(keys.values())) > 1 and (named := next(iter(shared), None)):
        raise BadInput(f"collections with different keys would share what {named} names; unset it")
