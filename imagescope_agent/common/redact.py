"""Keeps credentials out of everything that is written down or shown; the only place that knows how they look."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "[secret]"
OURS = "IMAGESCOPE_"
_SHORTEST, _SHORTEST_OF_OURS = 8, 4  # characters; a shorter value of a variable is no secret
_PLACEHOLDERS = {"none", "null", "true", "false", "empty", "dummy", "local"}
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_NAME = (
    r"(?:(?:api|access|private)[-_ ]?key|(?:auth|access|refresh|bearer)[-_ ]?token"
    r"|secret|client[-_ ]?secret|passw(?:or)?d|passphrase|authorization|credentials?|cookie)"
)
# by letters of which one must be there, small, or there is nothing to look for: to look for them takes a tenth of the
# time; every pattern stops before quotes and backslashes, so that JSON text stays JSON
_PATTERNS = (
    (
        ("sk", "pk", "rk", "hf", "gh", "github", "glpat", "nvapi", "xox", "akia", "aiza"),
        r"\b(?=[sprhgnxA])(?:sk|pk|rk|hf|gh[pousr]|github_pat|glpat|nvapi|gsk|xox[abpr]|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,}",
    ),
    (("eyj",), r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    (("bearer ",), r"(?i)(?<=bearer )(?!\[secret\])[A-Za-z0-9._~+/=-]{8,}"),
    (("@",), r"(?<=://)[^/\s\"\\?#<>]+(?=@)"),
    (("@",), r"(?<![\w/.:])[\w.+-]+:[^\s/@:\"\\<>]+(?=@(?:localhost|[\w-]+(?:\.[\w-]+)+)(?::\d+)?/)"),
)
_COMPILED = tuple((needles, re.compile(pattern)) for needles, pattern in _PATTERNS)
_BASIC = re.compile(r"(?i)(\bbasic )([A-Za-z0-9+/_-]{4,}={0,2})")
# a quote after a name without quotes may as well end the text that the name ends: what follows in JSON tells
_TEXT_ENDS = r"(?!\s*(?:[,:](?=[\s\\\"'{\[\d-]|null|true|false|$)|[}\]](?=[\s,}\]\"'\\]|$)))"
_NAMED = re.compile(
    rf"(?i)(?<![^\W_])({_NAME}(?: provided)?(?P<key>\\*[\"'])?\s*[:=]\s*)(?!bearer |basic )"
    rf"(?:(?P<quote>\\*[\"'])(?!\[secret\])(?(key)|{_TEXT_ENDS})[^\"'\\]+"
    r"|(?!null\b|none\b|true\b|false\b|\[secret\])[^\s\"'\\,;}&<>]{4,})"
)
_SECRET = re.compile(rf"(?i)(?<![^\W_]){_NAME}\Z")
_PARAMETER = re.compile(r"(?i)([?&](?:key|token|sig|signature|auth|code|pass|pwd|password)=)[^\s&#\"'\\<>]+")
#: The words of `_NAME`, and those of which one stands before it where the word alone is no name.
_WORDS = {
    "key": ("api", "access", "private"),
    "token": ("auth", "access", "refresh", "bearer"),
    **dict.fromkeys(("secret", "passw", "passphrase", "authorization", "credential", "cookie"), ("",)),
}
_BETWEEN = re.compile(r"\s*,\s*(?=[a-z][a-z0-9+.-]*://)|\s+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_known: set[str] = set()
_LAST: list[tuple[Any, tuple[str, ...]]] = [(None, ())]  # where secrets were looked for last, and those found


def learn(options: Any) -> None:
    """Remember the secrets among a model's options (a key, a password in an address), wherever they show up later."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if isinstance(value, str) and _NAMES.search(str(name)):
                _remember(value, _SHORTEST_OF_OURS)
            else:
                learn(value)
    elif isinstance(options, list):
        for value in options:
            learn(value)
    elif isinstance(options, str) and "://" in options and "@" in options:
        _remember_login(options)


def redact(text: str) -> str:
    """The text without keys, tokens, passwords, authorization headers and the values of secret variables.

    JSON text stays JSON.
    """
    text = hide_known(text)
    lower = text.lower()
    for needles, pattern in _COMPILED:
        if _any_in(lower, needles):
            text = pattern.sub(HIDDEN, text)
    if "basic " in lower:
        text = _BASIC.sub(lambda found: found[1] + (HIDDEN if _is_login(found[2]) else found[2]), text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\g<1>{HIDDEN}", text)
    for word, before in _WORDS.items():
        if word in lower and _any_in(lower, before):
            return _NAMED.sub(lambda found: f"{found[1]}{found['quote'] or ''}{HIDDEN}", text)
    return text


def _any_in(text: str, words: Sequence[str]) -> bool:
    return any(map(text.__contains__, words))  # a generator would take longer than looking


def hide_known(text: str) -> str:
    """The text without the secrets that this process was told; words that only look like some stay."""
    for secret in _secrets():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def redact_values(value: Any) -> Any:
    """Plain values with every text in them redacted, and the whole of one that stands under the name of a secret."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN
            if isinstance(each, str) and each and _SECRET.search(str(name))
            else redact_values(each)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_values(each) for each in value]
    return value


def _secrets() -> tuple[str, ...]:
    """Everything that must not show up, in each form it may have; the longest first."""
    # a copy of the variables as the system gives them compares a hundred times as fast as reading them one by one
    seen = dict(getattr(os.environ, "_data", os.environ)), frozenset(_known)
    last, found = _LAST[-1]
    if last != seen:
        found = _collect()
        _LAST[:] = [(seen, found)]
    return found


def _collect() -> tuple[str, ...]:
    found = set(_known)
    for name, value in os.environ.items():
        shortest = _SHORTEST_OF_OURS if name.startswith(OURS) else _SHORTEST
        if _NAMES.search(name) and _is_secret(value, shortest):
            found |= _forms(value)
        elif name.startswith(OURS) and "@" in value:
            found |= _login_forms(value)
    return tuple(sorted(found, key=len, reverse=True))


def _is_secret(value: str, shortest: int) -> bool:
    return len(value) >= shortest and value.lower() not in _PLACEHOLDERS and not value.isdecimal()


def _remember(value: str, shortest: int) -> None:
    if _is_secret(value, shortest):
        _known.update(_forms(value))


def _remember_login(address: str) -> None:
    _known.update(_login_forms(address))


def split_addresses(text: str) -> list[str]:
    """The addresses of a text with commas or space between several; a comma may also stand in a password."""
    return [each.strip() for each in _BETWEEN.split(text.strip().strip(",")) if each.strip()]


@cache
def _login_forms(addresses: str) -> frozenset[str]:
    """What of addresses with a login in them is secret: the passwords, and both as a header has them."""
    return frozenset().union(*map(_login_forms_of, split_addresses(addresses)))


def _login_forms_of(address: str) -> frozenset[str]:
    try:
        login = urlsplit(address).netloc.rpartition("@")[0]
    except ValueError:
        return frozenset()
    user, _, password = login.partition(":")
    found: set[str] = set()
    if _is_secret(password, _SHORTEST_OF_OURS):
        found |= _forms(password) | _forms(unquote(password))
        found.add(_encoded(f"{unquote(user)}:{unquote(password)}"))
    return frozenset(found)


@cache
def _forms(secret: str) -> frozenset[str]:
    """A secret as it is, inside JSON, inside an address, and in base 64."""
    escaped = {json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
    return frozenset({secret, quote(secret, safe=""), _encoded(secret), *escaped})


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii").rstrip("=")


def _is_login(text: str) -> bool:
    """Whether base 64 holds "user:password", perhaps cut off."""
    whole = text.rstrip("=").replace("-", "+").replace("_", "/")
    whole = whole[: len(whole) - (len(whole) % 4 == 1)]
    try:
        return b":" in base64.b64decode(whole + "=" * (-len(whole) % 4))
    except (binascii.Error, ValueError):
        return False
