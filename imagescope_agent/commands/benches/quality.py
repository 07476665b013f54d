"""Benchmarks of what is right: judges, graphs, training, conversations, and what models say of themselves."""

from __future__ import annotations

from imagescope_agent.commands import natural, path, positive
from imagescope_agent.commands.benches.arguments import Bench, count, names, profile, root, seed, seeds

REASONING_WAYS = (
    *("fast", "full", "full by roles", "auto", "auto by roles", "auto by agreement", "plain vectors", "mra"),
    *("imagescope, stage 1", "imagescope", "adaptive", "adaptive after fast", "adaptive after full"),
)

QUALITY = {
    "judges": Bench(
        "accuracy against calls, tokens and seconds of every judge strategy, on drawn scenes or simulated",
        {
            "--profile": profile("whose judge is asked; with mini, e2rank and icr are of mini_cot"),
            "-k": {"type": positive, "action": "append", "help": "candidates (default: 10)"},
            "--queries": count(20, "drawn queries"),
            "--judge": {"action": "append", "metavar": "NAME", "help": "only these (default: all)"},
            "--budget": {"type": natural, "metavar": "CALLS", "help": "at most so many calls a query"},
            "--seed": seed("scenes and orders"),
            "--out": {
                "type": path,
                "metavar": "DIR",
                "help": "write the table, the plot and the figures here; judges left out keep theirs",
            },
            "--keep": {
                "type": path,
                "metavar": "FILE",
                "help": "keep each strategy here as it is measured; the same command goes on after them",
            },
            "--simulated": {
                "action": "store_true",
                "help": "ask a noisy simulated judge instead of a model, with 10, 20 and 50 candidates",
            },
            "--trials": count(20, "random orders a simulated case"),
        },
    ),
    "graphs": Bench(
        "what a query costs each graph, and what verifying only what matters saves",
        {
            "--root": root("drawn and indexed first"),
            "--profile": profile("which models"),
            "--images": count(300, "how many are drawn"),
            "--queries": count(60, "how many are asked"),
            "--seed": seed("the drawn scenes"),
        },
    ),
    "triplets": Bench(
        "how right the triplets are that `imagescope triplets` made of a drawn collection, check by check",
        {
            "--file": {
                "type": path,
                "required": True,
                "help": "the triplets, with their journal beside them",
            },
            "--scenes": {"type": path, "required": True, "help": "scenes.jsonl of the collection"},
        },
    ),
    "composition": Bench(
        "composed queries by vectors, in words and by trained composers; how right the agent's triplets are",
        {
            "--root": {
                "type": path,
                "help": "keep what is made here, for the next run (default: nothing is kept)",
            },
            "--profile": profile("which models"),
            "--train-seed": {
                "type": natural,
                "default": 101,
                "help": "of what is learnt from (default: 101)",
            },
            "--train-images": count(1500, "in that collection"),
            "--triplets": count(300, "built by the agent"),
            "--seeds": seeds("evaluated", 3, 4, 5),
            "--images": count(1000, "in each evaluated collection"),
            "--queries": count(300, "asked of each, at most"),
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
            "--profile": profile("of the other graphs"),
            "--root": root("drawn in a temporary folder"),
            "--seeds": seeds("of the collections", 3, 4, 5),
            "--images": count(200, "of each collection"),
            "--queries": count(60, "of each, half of them composed"),
            "--tries": {
                "type": natural,
                "default": 200,
                "help": "chains that are edited (default: 200)",
            },
            "--composed": {
                "type": float,
                "default": 0.0,
                "metavar": "WEIGHT",
                "help": "of the composed vector beside the descriptions of `imagescope` and `adaptive` (default: 0)",
            },
            "--roles-threshold": {
                "type": float,
                "metavar": "LEAD",
                "help": "of `auto by roles`; `fast` and `full by roles` fit it, on other seeds (default: mini_cot's)",
            },
            "--roles-threshold-text": {
                "type": float,
                "metavar": "LEAD",
                "help": "the same, of words alone (default: mini_cot's)",
            },
            "--ways": {
                "nargs": "+",
                "default": list(REASONING_WAYS),
                "choices": REASONING_WAYS,
                "help": "some of them (default: all)",
            },
            "--mra": {"metavar": "PROFILE", "help": "with a trained composer; without one `mra` is left out"},
            "--apart": {
                "nargs": "+",
                "default": [],
                "metavar": "PART",
                "help": "instructions, colours, things that composed queries are told apart by, as: removal purple cat",
            },
        },
    ),
    "turn": Bench(
        "a conversation's later turns beside its first: tokens, calls, rankings",
        {
            "--profile": profile("which models"),
            "--images": count(100, "how many are drawn"),
            "--dialogs": count(10, "how many are held"),
            "--turns": count(4, "of each dialog"),
            "--seed": seed("pictures and dialogs"),
        },
    ),
    "understanding": Bench(
        "what conversations make of messages: invented facts, lost wishes, changes by idle words",
        {
            "--profile": profile("which models"),
            "--images": count(100, "how many are drawn"),
            "--data": {
                "type": path,
                "metavar": "FILE",
                "help": "JSON lines of conversations (default: some are made)",
            },
            "--conversations": count(40, "how many are made"),
            "--rounds": count(5, "messages of each"),
            "--seed": seed("pictures and conversations"),
        },
    ),
    "exclusions": Bench(
        "whether an embedder keeps away what a query excludes, on captioned photos",
        {
            "--root": {
                "type": path,
                "required": True,
                "metavar": "FOLDER",
                "help": "photos with captions, as `imagescope eval folder` reads them",
            },
            "--profile": {"default": "photos", "help": "whose embedder (default: photos)"},
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
            "--drawn": count(500, "scenes that are drawn"),
            "--most": count(500, "photos that are looked at"),
            "--seed": seed("the scenes"),
        },
    ),
    "fulfilment": Bench(
        "fit the probability that a first place fulfils its query, and measure it on other drawn collections",
        {
            "--root": {
                "type": path,
                "help": "keep what is drawn and indexed here, for the next run (default: nothing is kept)",
            },
            "--profile": profile("which models"),
            "--train-seeds": seeds("fitted on", 900, 901, 902, 903),
            "--seeds": seeds("evaluated", 71, 72, 73),
            "--images": count(100, "drawn for each; some are taken out"),
            "--queries": count(60, "asked of each"),
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
            "--root": root("drawn anew"),
            "--profile": profile("whose models are measured"),
            "--mra": {
                "metavar": "PROFILE",
                "default": "mini_mra",
                "help": "whose composer the graph mra has (default: mini_mra)",
            },
            "--cir-cot": {
                "metavar": "PROFILE",
                "default": "mini_cot",
                "help": "whose embedder the graph cir_cot reasons with (default: mini_cot)",
            },
            "--graphs": names("GRAPH", "xr", "cotrr", "imagescope", "mra", "cir_cot", "adaptive"),
            "--splits": names("SPLIT", "single", "multi", "hard", "paraphrase"),
            "--seeds": seeds("of the collections", 41, 42, 43),
            "--images": count(200, "drawn for each"),
            "--queries": count(20, "of each split and seed; wishes of the paraphrased"),
        },
    ),
}
