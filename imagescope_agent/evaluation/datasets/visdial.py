"""VisDial as chat-based retrieval (Levy et al., NeurIPS 2023, arXiv 2305.20062): 2,064 dialogs in a pool of
50,000 images.

Expected below the root, flat or in the folders of the repositories::

    Search_Space_val_50k.json (or Protocol/)  VisDial_v1.0_queries_val.json (or dialogues/)
    unlabeled2017/*.jpg

Annotations: https://github.com/levymsn/ChatIR, https://github.com/Saehyung-Lee/PlugIR. Images:
http://images.cocodataset.org/zips/unlabeled2017.zip.

Protocol: a dialog is a caption and ten "question? answer" strings. The query of round t, t = 0..10, is the
first t+1 strings joined by ", " (ChatIR's eval.py); the graph `chat` is told them one by one instead, as turns
of a conversation. metrics.json says which ("dialogs"). By round: R@k of that round alone (not cumulative) and
Hits@k, cumulative: once hit stays hit. "all" also holds BRI (PlugIR), which is lower for better. The dialogs
are VisDial's own, between people; the answerer saw the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
    read_json_records,
    read_names,
    require_field,
    require_strings,
)
from imagescope_agent.evaluation.datasets.base import (
    Benchmark,
    BenchmarkQuery,
    Gallery,
    RequiredFile,
    choose_split,
    first_existing,
)

SPLITS = ("val",)
ROUNDS = 11
POOL, DIALOGS = "Search_Space_val_50k.json", "VisDial_v1.0_queries_val.json"


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    choose_split("visdial", split, SPLITS)
    return [
        RequiredFile(path=_pool(root), source="https://github.com/levymsn/ChatIR (ChatIR_Protocol)"),
        RequiredFile(path=_dialogs(root), source="https://github.com/levymsn/ChatIR (dialogues)"),
        RequiredFile(
            path=root / "unlabeled2017",
            source="http://images.cocodataset.org/zips/unlabeled2017.zip",
            images=True,
        ),
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the dialogs, each as one query a round.

    Raises:
        BadInput: a file is missing or malformed, or a target is not in the pool.
    """
    choose_split("visdial", split, SPLITS)
    pool = read_names(_pool(root))
    known = frozenset(pool)
    gallery = Gallery(
        name="visdial-val",
        folder=root / "unlabeled2017",
        files={name: name.removeprefix("unlabeled2017/") for name in pool},
    )
    return Benchmark(
        name="visdial",
        split="val",
        key="visdial/val/human-dialogs/rounds-0-10",
        protocol="VisDial ChatIR, human dialogs, rounds 0-10; Hits@k cumulative, R@k by round; BRI",
        gallery=f"{len(pool)} images of COCO unlabeled2017",
        queries=tuple(_queries(_dialogs(root), known)),
        measures=("R@1", "R@5", "R@10"),
        open_galleries=lambda: {"images": gallery},
        depth=None,
        size=len(pool),
        known={"images": known},
    )


def _pool(root: Path) -> Path:
    return first_existing(root, POOL, f"ChatIR_Protocol/{POOL}", f"Protocol/{POOL}", f"Protocal/{POOL}")


def _dialogs(root: Path) -> Path:
    return first_existing(root, DIALOGS, f"dialogues/{DIALOGS}")


def _queries(path: Path, pool: frozenset[str]) -> Iterator[BenchmarkQuery]:
    for number, (place, record) in enumerate(read_json_records(path)):
        target = require_field(record, "img", str, place)
        dialog = require_strings(record, "dialog", place, length=ROUNDS)
        if target not in pool:
            raise BadInput(f"{place}: the target {target!r} is not in {POOL}")
        for turn in range(ROUNDS):
            yield BenchmarkQuery(
                qid=f"{number}-{turn}",
                text=", ".join(dialog[: turn + 1]),
                relevant=(target,),
                target=target,
                subsets=(f"round {turn}",),
                group=str(number),
                turn=turn,
                said=dialog[turn],
            )
