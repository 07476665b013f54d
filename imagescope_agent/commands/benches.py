"""The benchmarks of `imagescope bench` and their arguments, declared here since the modules import models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imagescope_agent.commands import natural, path, per_second, positive


@dataclass(frozen=True)
class Bench:
    """A benchmark: its help, and its arguments as flag -> keywords of `add_argument`."""

    summary: str
    arguments: dict[str, dict[str, Any]]


def _count(default: int, about: str, **more: Any) -> dict[str, Any]:
    return {"type": positive, "default": default, "help": f"{about} (default: {default})", **more}


def _seed(of: str) -> dict[str, Any]:
    return {"type": natural, "default": 0, "help": f"of {of} (default: 0)"}


def _seeds(what: str, *default: int) -> dict[str, Any]:
    told = f"{what} (default: {' '.join(map(str, default))})"
    return {"type": natural, "nargs": "+", "default": [*default], "help": told}


def _names(what: str, *default: str) -> dict[str, Any]:
    told = f"(default: {' '.join(default)})"
    return {"nargs": "+", "default": [*default], "metavar": what, "help": told}


def _profile(whose: str) -> dict[str, Any]:
    return {"default": "mini", "help": f"{whose} (default: mini)"}


def _root(default: str) -> dict[str, Any]:
    return {"type": path, "help": f"drawn scenes (default: {default})"}


REASONING_WAYS = ("fast", "full", "auto", "plain vectors", "imagescope, stage 1", "adaptive")

BENCHES = {  # name of the bench and, with _ for -, of its module in lab.benchmarks
    "verify": Bench(
        "candidates x questions on one chat model, four ways: seconds, forwards, agreement",
        {
            "--profile": _profile("whose verifier is measured"),
            "--random": {
                "choices": ("2b", "8b", "tiny"),
                "help": "a made-up model of that size instead (2b, 8b: on a GPU)",
            },
            "--candidates": _count(20, "images", metavar="K"),
            "--questions": _count(4, "about each image", metavar="Q"),
            "--repeats": _count(5, "the fastest counts"),
            "--seed": _seed("images and questions"),
        },
    ),
    "gpu": Bench(
        "models of published sizes with random weights: verdicts a second, first token, share of the ceiling",
        {
            "--size": {
                "choices": ("2b", "8b", "tiny"),
                "nargs": "+",
                "default": ["2b", "8b"],
                "help": "which sizes (default: 2b 8b)",
            },
            "--candidates": _count(100, "images", metavar="K"),
            "--questions": _count(4, "about each image", metavar="Q"),
            "--repeats": _count(3, "the fastest counts"),
            "--seed": _seed("images and questions"),
        },
    ),
    "searches": Bench(
        "searches one after another and all at once: seconds, rankings",
        {
            "--root": _root("64 are drawn and indexed first"),
            "--profile": _profile("which models"),
            "--searches": _count(16, "how many", metavar="N"),
            "--seed": _seed("the drawn scenes"),
        },
    ),
    "judges": Bench(
        "accuracy against calls, tokens and seconds of every judge strategy, on drawn scenes or simulated",
        {
            "--profile": _profile("whose judge is asked"),
            "-k": {"type": positive, "action": "append", "help": "candidates (default: 10)"},
            "--queries": _count(20, "drawn queries"),
            "--judge": {"action": "append", "metavar": "NAME", "help": "only these (default: all)"},
            "--budget": {"type": natural, "metavar": "CALLS", "help": "at most so many calls a query"},
            "--seed": _seed("scenes and orders"),
            "--out": {
                "type": path,
                "metavar": "DIR",
                "help": "write the table, the plot and the figures here",
            },
            "--simulated": {
                "action": "store_true",
                "help": "ask a noisy simulated judge instead of a model, with 10, 20 and 50 candidates",
            },
            "--trials": _count(20, "random orders a simulated case"),
        },
    ),
    "graphs": Bench(
        "what a query costs each graph, and what verifying only what matters saves",
        {
            "--root": _root("drawn and indexed first"),
            "--profile": _profile("which models"),
            "--images": _count(300, "how many are drawn"),
            "--queries": _count(60, "how many are asked"),
            "--seed": _seed("the drawn scenes"),
        },
    ),
    "composition": Bench(
        "composed queries by vectors, in words and by trained composers; how right the agent's triplets are",
        {
            "--root": {
                "type": path,
                "help": "keep what is made here, for the next run (default: nothing is kept)",
            },
            "--profile": _profile("which models"),
            "--train-seed": {
                "type": natural,
                "default": 101,
                "help": "of what is learnt from (default: 101)",
            },
            "--train-images": _count(1500, "in that collection"),
            "--triplets": _count(300, "built by the agent"),
            "--seeds": _seeds("evaluated", 3, 4, 5),
            "--images": _count(1000, "in each evaluated collection"),
            "--queries": _count(300, "asked of each, at most"),
            "--words": {
                "type": natural,
                "default": 300,
                "help": "of these, described in words too (default: 300)",
            },
            "--tokens": {"action": "store_true", "help": "train composers that read tokens"},
        },
    ),
    "reasoning": Bench(
        "a model that reasons, then embeds, with a chain and without, beside the other graphs; whether chains are true",
        {
            "--model": {"required": True, "help": "such a model, as a profile names it: cir_cot:DIR"},
            "--profile": _profile("of the other graphs"),
            "--root": _root("drawn in a temporary folder"),
            "--seeds": _seeds("of the collections", 3, 4, 5),
            "--images": _count(200, "of each collection"),
            "--queries": _count(60, "of each, half of them composed"),
            "--tries": {
                "type": natural,
                "default": 200,
                "help": "chains that are edited (default: 200)",
            },
            "--ways": {
                "nargs": "+",
                "default": list(REASONING_WAYS),
                "choices": REASONING_WAYS,
                "help": "some of them (default: all)",
            },
        },
    ),
    "turn": Bench(
        "a conversation's later turns beside its first: tokens, calls, rankings",
        {
            "--profile": _profile("which models"),
            "--images": _count(100, "how many are drawn"),
            "--dialogs": _count(10, "how many are held"),
            "--turns": _count(4, "of each dialog"),
            "--seed": _seed("pictures and dialogs"),
        },
    ),
    "understanding": Bench(
        "what conversations make of messages: invented facts, lost wishes, changes by idle words",
        {
            "--profile": _profile("which models"),
            "--images": _count(100, "how many are drawn"),
            "--data": {
                "type": path,
                "metavar": "FILE",
                "help": "JSON lines of conversations (default: some are made)",
            },
            "--conversations": _count(40, "how many are made"),
            "--rounds": _count(5, "messages of each"),
            "--seed": _seed("pictures and conversations"),
        },
    ),
    "chat-store": Bench(
        "what keeping a conversation costs at turns 1 to 500: bytes and seconds, opening, listing",
        {
            "--turns": _count(500, "of the long conversation"),
            "--threads": _count(1000, "conversations that are listed"),
            "--images": _count(60, "in the collection"),
            "--store": {"metavar": "URL", "help": "an empty postgresql:// database, measured after SQLite"},
        },
    ),
    "floor": Bench(
        "what a search, an index and a cold start cost over the models' own work",
        {
            "--root": _root("drawn and indexed first"),
            "--images": _count(200, "how many are drawn"),
            "--queries": _count(6, "asked in each repeat"),
            "--repeats": _count(3, "the median counts"),
            "--indexed": _count(64, "images that are indexed"),
            "--together": _count(16, "searches that arrive at once"),
            "--row": {"action": "append", "metavar": "NAME", "help": "only these (default: all)"},
            "--seed": _seed("the drawn scenes"),
        },
    ),
    "load": Bench(
        "searches that arrive at random times: seconds, and the slowest over its fair share",
        {
            "--root": _root("drawn and indexed first"),
            "--profile": _profile("which models"),
            "--graph": {"default": "imagescope", "help": "which system (default: imagescope)"},
            "--images": _count(64, "how many are drawn"),
            "--searches": _count(16, "how many arrive", metavar="N"),
            "--rate": {
                "type": per_second,
                "default": 0.0,
                "help": "arrivals a second on average; 0 for all at once (default: 0)",
            },
            "--seed": _seed("the drawn scenes and the times"),
        },
    ),
    "service": Bench(
        "a service process beside direct calls: latency, clients at once, memory, reranking",
        {
            "--images": _count(100, "drawn, indexed and reranked"),
            "--searches": _count(30, "pairs of a direct and a served one, for each graph"),
            "--clients": _count(64, "at once"),
            "--rounds": _count(3, "searches of each client"),
            "--memory": _count(2000, "searches while the memory is watched"),
            "--seed": _seed("the scenes"),
        },
    ),
    "out-of-domain": Bench(
        "whether embedded models say what they do not know: pictures of another kind, everyday queries",
        {
            "--photos": {
                "type": path,
                "metavar": "FOLDER",
                "help": "photos (default: what needs some is left out)",
            },
            "--drawn": _count(500, "scenes that are drawn"),
            "--most": _count(500, "photos that are looked at"),
            "--seed": _seed("the scenes"),
        },
    ),
    "filters": Bench(
        "a filtered search beside the same one without, over made-up vectors: seconds, and whether it is exact",
        {
            "--images": _count(1_000_000, "with a vector in each of two spaces"),
            "--dimension": _count(64, "numbers of a vector"),
            "-k": _count(20, "results of a search"),
            "--repeats": _count(5, "queries; the median counts"),
            "--seed": _seed("vectors and fields"),
        },
    ),
    "stores": Bench(
        "vector stores side by side over made-up vectors: building, memory, latency, recall, the bare engine",
        {
            "--images": _count(5000, "with a vector in each of two spaces"),
            "--dimension": _count(512, "numbers of a vector"),
            "--queries": _count(100, "asked one after another"),
            "-k": _count(100, "results of a search"),
            "--row": {"action": "append", "metavar": "NAME", "help": "only these (default: all)"},
            "--pgvector": {
                "metavar": "URL",
                "help": "an empty postgresql:// database (default: not measured)",
            },
            "--keep": {
                "type": path,
                "metavar": "DIR",
                "help": "keep each row here when it is measured; the same command goes on where it stopped",
            },
            "--seed": _seed("vectors and queries"),
        },
    ),
    "scale": Bench(
        "what an image costs on this machine, and what that makes of a million, a hundred millions and ten billions",
        {
            "--profile": _profile("which models"),
            "--images": _count(200, "how many are drawn"),
            "--dimension": _count(512, "numbers of a vector, in the plan"),
            "--seed": _seed("what is drawn"),
        },
    ),
    "indexing": Bench(
        "indexing without captions beside the bare encoder, and what is found with captions that searches make",
        {
            "--profile": _profile("which models"),
            "--images": _count(1000, "how many are drawn"),
            "--queries": {
                "type": natural,
                "default": 60,
                "help": "asked of each index, 0: none (default: 60)",
            },
            "--repeats": _count(3, "of loop and indexing in turn; the fastest counts"),
            "--seed": _seed("the drawn scenes"),
        },
    ),
    "fulfilment": Bench(
        "fit the probability that a first place fulfils its query, and measure it on other drawn collections",
        {
            "--root": {
                "type": path,
                "help": "keep what is drawn and indexed here, for the next run (default: nothing is kept)",
            },
            "--profile": _profile("which models"),
            "--train-seeds": _seeds("fitted on", 900, 901, 902, 903),
            "--seeds": _seeds("evaluated", 71, 72, 73),
            "--images": _count(100, "drawn for each; some are taken out"),
            "--queries": _count(60, "asked of each"),
            "--out": {
                "type": path,
                "metavar": "DIR",
                "help": "write the model that a profile names (fulfilment = ...), and the evidence",
            },
        },
    ),
    "rivals": Bench(
        "the graphs side by side: one and several references, near misses, wordings; right answers and cost",
        {
            "--root": _root("drawn anew"),
            "--profile": _profile("whose models are measured"),
            "--mra": {"metavar": "PROFILE", "help": "also the graph mra, with this profile's composer"},
            "--cir-cot": {
                "metavar": "PROFILE",
                "help": "also the graph cir_cot, with this profile's embedder",
            },
            "--graphs": _names("GRAPH", "xr", "cotrr", "imagescope", "adaptive"),
            "--splits": _names("SPLIT", "single", "multi", "hard", "paraphrase"),
            "--seeds": _seeds("of the collections", 41, 42, 43),
            "--images": _count(200, "drawn for each"),
            "--queries": _count(20, "of each split and seed; wishes of the paraphrased"),
        },
    ),
    "overhead": Bench(
        "what checkpoints and traces cost a search, side by side with neither",
        {
            "--profile": _profile("whose models search"),
            "--count": _count(24, "pictures, drawn"),
            "--repeats": _count(5, "rounds of three queries"),
            "--seed": _seed("the pictures"),
        },
    ),
}
