"""Words and values that command lines, TOML and JSON are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

WORDS = [
    *(
        "a red square",
        "",
        " ",
        "\0",
        "\x1b[2J",
        "\ud800",
        "x" * 9_000,
        "-",
        "--",
        "-1",
        "0",
        "1",
        "3",
        "9" * 30,
        "1e9",
    ),
    *(
        "nan",
        "None",
        "true",
        "../outside",
        "/",
        "/dev/null",
        "/dev/zero",
        "/proc/self/mem",
        "~",
        "~root/x",
        ".",
        "..",
    ),
    *(
        "*",
        "$(id)",
        "mini",
        "server",
        "mine.toml",
        "retrieve",
        "imagescope",
        "cotrr",
        "pairwise",
        "listwise",
        "os:system",
    ),
    *(
        "a:b",
        "red.png",
        "photos",
        "photos/red.png",
        "nowhere",
        "mine",
        "\u202e",
        "é",
        "e\u0301",
        "new",
        "deep/er/new",
    ),
    *("file.json", "[]", "{}", "http://127.0.0.1:9/v1", "postgresql://nobody:pw@127.0.0.1:9/x", "hf-hub:a/b"),
    *("scenes", "folder", "cirr", "run.trec"),
]


def value(random: Random, depth: int = 3) -> Any:
    """Any JSON."""
    simple: list[Callable[[], Any]] = [
        lambda: None, lambda: random.random() < 0.5, lambda: random.randint(-9, 9), lambda: 10**400, lambda: 1.5,
        lambda: float("nan"), lambda: float("-inf"), lambda: random.choice(WORDS[5:]), lambda: "", lambda: "mini",
    ]  # fmt: skip
    if depth == 0 or random.random() < 0.6:
        return random.choice(simple)()
    if random.random() < 0.5:
        return [value(random, depth - 1) for _ in range(random.randint(0, 3))]
    return {
        random.choice(["id", "key", "file", "k", "x"]): value(random, depth - 1)
        for _ in range(random.randint(0, 3))
    }


OTHER = [
    *(
        "5",
        "[]",
        "{}",
        '""',
        "true",
        "nan",
        "1979-05-27",
        '["m"]',
        '{a = "b"}',
        '"os:system"',
        '"../x"',
        "'''",
    ),
    *(
        '"\\u0000"',
        '"scripted"',
        '"endpoint"',
        '"transformers"',
        "-1",
        "1e400",
        '"fake"',
        "[" * 2000 + "]" * 2000,
    ),
]


def changed(content: Any, random: Random) -> Any:
    """JSON in which one value is another."""
    if isinstance(content, dict) and content and random.random() < 0.8:
        name = random.choice(list(content))
        return {**content, name: changed(content[name], random)}
    if isinstance(content, list) and content and random.random() < 0.8:
        place = random.randrange(len(content))
        return [*content[:place], changed(content[place], random), *content[place + 1 :]]
    return value(random)
