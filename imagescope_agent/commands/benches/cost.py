"""Benchmarks of what it costs: seconds, forwards, bytes, many at once."""

from __future__ import annotations

from imagescope_agent.commands import natural, path, per_second
from imagescope_agent.commands.benches.arguments import Bench, count, profile, root, seed

COST = {
    "verify": Bench(
        "candidates x questions on one chat model, four ways: seconds, forwards, agreement",
        {
            "--profile": profile("whose verifier is measured"),
            "--random": {
                "choices": ("2b", "8b", "tiny"),
                "help": "a made-up model of that size instead (2b, 8b: on a GPU)",
            },
            "--candidates": count(20, "images", metavar="K"),
            "--questions": count(4, "about each image", metavar="Q"),
            "--repeats": count(5, "the fastest counts"),
            "--seed": seed("images and questions"),
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
            "--candidates": count(100, "images", metavar="K"),
            "--questions": count(4, "about each image", metavar="Q"),
            "--repeats": count(3, "the fastest counts"),
            "--seed": seed("images and questions"),
        },
    ),
    "searches": Bench(
        "searches one after another and all at once: seconds, rankings",
        {
            "--root": root("64 are drawn and indexed first"),
            "--profile": profile("which models"),
            "--searches": count(16, "how many", metavar="N"),
            "--seed": seed("the drawn scenes"),
        },
    ),
    "chat-store": Bench(
        "what keeping a conversation costs at turns 1 to 500: bytes and seconds, opening, listing",
        {
            "--turns": count(500, "of the long conversation"),
            "--threads": count(1000, "conversations that are listed"),
            "--images": count(60, "in the collection"),
            "--store": {"metavar": "URL", "help": "an empty postgresql:// database, measured after SQLite"},
        },
    ),
    "floor": Bench(
        "what a search, an index and a cold start cost over the models' own work",
        {
            "--root": root("drawn and indexed first"),
            "--images": count(200, "how many are drawn"),
            "--queries": count(6, "asked in each repeat"),
            "--repeats": count(3, "the median counts"),
            "--indexed": count(64, "images that are indexed"),
            "--together": count(16, "searches that arrive at once"),
            "--row": {"action": "append", "metavar": "NAME", "help": "only these (default: all)"},
            "--seed": seed("the drawn scenes"),
        },
    ),
    "load": Bench(
        "searches that arrive at random times: seconds, and the slowest over its fair share",
        {
            "--root": root("drawn and indexed first"),
            "--profile": profile("which models"),
            "--graph": {"default": "imagescope", "help": "which system (default: imagescope)"},
            "--images": count(64, "how many are drawn"),
            "--searches": count(16, "how many arrive", metavar="N"),
            "--rate": {
                "type": per_second,
                "default": 0.0,
                "help": "arrivals a second on average; 0 for all at once (default: 0)",
            },
            "--seed": seed("the drawn scenes and the times"),
        },
    ),
    "service": Bench(
        "a service process beside direct calls: latency, clients at once, memory, reranking",
        {
            "--images": count(100, "drawn, indexed and reranked"),
            "--searches": count(30, "pairs of a direct and a served one, for each graph"),
            "--clients": count(64, "at once"),
            "--rounds": count(3, "searches of each client"),
            "--memory": count(2000, "searches while the memory is watched"),
            "--seed": seed("the scenes"),
        },
    ),
    "filters": Bench(
        "a filtered search beside the same one without, over made-up vectors: seconds, and whether it is exact",
        {
            "--images": count(1_000_000, "with a vector in each of two spaces"),
            "--dimension": count(64, "numbers of a vector"),
            "-k": count(20, "results of a search"),
            "--repeats": count(5, "queries; the median counts"),
            "--seed": seed("vectors and fields"),
        },
    ),
    "stores": Bench(
        "vector stores side by side over made-up vectors: building, memory, latency, recall, the bare engine",
        {
            "--images": count(5000, "with a vector in each of two spaces"),
            "--dimension": count(512, "numbers of a vector"),
            "--queries": count(100, "asked one after another"),
            "-k": count(100, "results of a search"),
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
            "--seed": seed("vectors and queries"),
        },
    ),
    "scale": Bench(
        "what an image costs on this machine, and what that makes of a million, a hundred millions and ten billions",
        {
            "--profile": profile("which models"),
            "--images": count(200, "how many are drawn"),
            "--dimension": count(512, "numbers of a vector, in the plan"),
            "--seed": seed("what is drawn"),
        },
    ),
    "indexing": Bench(
        "indexing without captions beside the bare encoder, and what is found with captions that searches make",
        {
            "--profile": profile("which models"),
            "--images": count(1000, "how many are drawn"),
            "--queries": {
                "type": natural,
                "default": 60,
                "help": "asked of each index, 0: none (default: 60)",
            },
            "--repeats": count(3, "of loop and indexing in turn; the fastest counts"),
            "--seed": seed("the drawn scenes"),
        },
    ),
    "folder": Bench(
        "indexing and searching a folder of pictures, cold and warm, beside bare loops over its embedder: time, memory",
        {
            "--folder": {"type": path, "required": True, "help": "the pictures; its first are copied"},
            "--profile": {"default": "photos", "help": "which embedder (default: photos)"},
            "--images": count(1000, "how many of them"),
            "--repeats": count(1, "of every command; the median counts"),
            "--searches": count(20, "warm ones"),
        },
    ),
    "overhead": Bench(
        "what checkpoints and traces cost a search, side by side with neither",
        {
            "--profile": profile("whose models search"),
            "--count": count(24, "pictures, drawn"),
            "--repeats": count(5, "rounds of three queries"),
            "--seed": seed("the pictures"),
        },
    ),
}
