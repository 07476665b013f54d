"""The first node of a conversation's turn: parse the message, keep the dialogue state, reset the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.begin import check_query, find_reference
from imagescope_agent.nodes.chat.message_commands import (
    ParsedMessage,
    apply_feedback,
    beside_picture,
    names_picture_only,
    read_message,
    unlike_picture,
)
from imagescope_agent.nodes.intent.references import (
    absent,
    brought,
    named_references,
    names,
    wanted_and_excluded,
)
from imagescope_agent.records import NoteDict
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.state import (
    KEPT,
    OF_TOPIC,
    Feedback,
    MessagePart,
    State,
    new_conversation,
    new_turn,
    overwrite,
)

#: Keys of a turn that stand until a message changes what is wanted.
FOUND = tuple(
    name
    for name in new_turn()
    if name not in ("reference_caption", "reference_captions", "intent", "acts", "remarks", "notes", "usage")
)
NOT_LIKE = "What looks like the picture that you sent falls behind from now on."
PARSED = "parsed_message"  # key of `configurable` for a message that the caller has checked already


@dataclass(frozen=True, kw_only=True)
class CheckedMessage:
    """A usable message; the graph checks it again only if it is not the one that it is run with.

    Attributes:
        text: as the user wrote it.
        query: the text as `check_query` gives it.
        reference: the new reference as `find_reference` gives it.
        feedback: a like or rejection given by rank.
        parsed: its parts.
        references: all new references, where there are several.
        unlike: pictures of what is not wanted.
        notes: on the pictures.
    """

    text: object
    query: str
    reference: str | None
    feedback: Feedback | None
    parsed: ParsedMessage
    references: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    notes: list[NoteDict] = field(default_factory=list)

    def is_of(self, state: State) -> bool:
        """Whether this is the input in a state, checked."""
        said = (self.text, self.reference, self.feedback, self.references, self.unlike)
        asked = (state.get(name) for name in ("query", "reference", "feedback"))
        return said == (*asked, *(state.get(name) or [] for name in ("references", "unlike")))


class ParseMessage:
    """Refuse an unusable message, else note what it likes and rejects and start the turn with the standing request."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """Return every key of a turn, empty, and every key of a conversation, as it stands.

        Raises:
            BadInput: see `check_message`.
        """
        standing: Any = {name: state.get(name, empty) for name, empty in new_conversation().items()}
        message = config.get("configurable", {}).get(PARSED)
        if not isinstance(message, CheckedMessage) or not message.is_of(state):
            message = _check_input(state, standing, self.collection)
        parsed = message.parsed
        if message.reference and parsed.words:
            standing.update(begun_anew())
        liked = [name for name in standing["liked"] if name not in parsed.rejected]
        rejected = [name for name in standing["rejected"] if name not in parsed.liked]
        told = bool(parsed.liked or parsed.rejected or parsed.where is not None or message.unlike)
        searched_anew = bool(message.reference or told)
        pictures, notes = await asyncio.to_thread(standing_pictures, standing, message, self.collection)
        notes += absent(message.query, pictures) if pictures["reference"] else []
        return {
            **overwrite(
                {
                    **new_turn(),
                    **({} if searched_anew else found_so_far(state)),
                    "notes": [*message.notes, *notes],
                    "remarks": [NOT_LIKE] if set(message.unlike) & {*pictures["unlike"]} else [],
                }
            ),
            "acts": known_acts(message, told=told),
            **{name: standing[name] for name in KEPT},
            "feedback": None,
            "message": message.query,
            "query": parsed.words or standing["request"],
            **pictures,
            "where": standing["where"] if parsed.where is None else parsed.where,
            "request": standing["request"] or parsed.words,
            "offset": 0 if searched_anew else standing["offset"],
            "liked": list(dict.fromkeys([*liked, *parsed.liked])),
            "rejected": list(dict.fromkeys([*rejected, *parsed.rejected])),
        }


def standing_pictures(
    standing: State, message: CheckedMessage, collection: Collection
) -> tuple[dict[str, Any], list[NoteDict]]:
    """The references and exclusions after a message: new references replace the old ones, exclusions add up.

    Where a description of one of several is missing, all are described anew. A picture that is both stays a reference;
    a note says so in the turn that made it both.
    """
    anchor, anchors = standing["anchor"], standing["anchors"]
    if message.reference:
        anchor, anchors = message.reference, message.references
    captions = standing["reference_captions"]
    changed = (anchor, anchors) != (standing["anchor"], standing["anchors"]) or len(captions) != len(anchors)
    excluded = list(dict.fromkeys([*standing["excluded"], *message.unlike]))
    both = wanted_and_excluded(list(dict.fromkeys(filter(None, (anchor, *anchors)))), excluded, collection)
    told = [note for name, note in both.items() if name in message.unlike or message.reference]
    found = {
        **{"reference": anchor, "anchor": anchor, "references": anchors, "anchors": anchors},
        "reference_caption": "" if changed else standing["reference_caption"],
        "reference_captions": [] if changed else captions,
        "excluded": excluded,
        "unlike": [name for name in excluded if name not in both],
    }
    return found, told


def _check_input(state: State, standing: State, collection: Collection) -> CheckedMessage:
    """The message in the input of a run; what an earlier turn left in the state was not brought by this one."""
    references, reference = state.get("references"), state.get("reference")
    several = [] if references == standing["anchors"] and reference is None else references
    return check_message(
        *(state.get("query"), reference, standing, collection),
        feedback=state.get("feedback"),
        references=several,
        unlike=state.get("unlike"),
    )


def known_acts(message: CheckedMessage, *, told: bool) -> list[MessagePart]:
    """The acts of a message that no model must read: "like this" beside a picture, and one without words."""
    if message.reference and names_picture_only(message.parsed.words):
        return [{"text": message.parsed.words, "act": "aside"}]
    return [] if message.parsed.words or told else [{"text": message.query, "act": "skip"}]


def found_so_far(state: State) -> dict[str, Any]:
    """What the turn before found, which stands until the message is known to change what is wanted."""
    empty = new_turn()
    return {name: state.get(name, empty[name]) for name in FOUND}


def check_message(  # over forty lines for its arguments
    text: object,
    reference: object,
    state: State,
    collection: Collection,
    *,
    feedback: Feedback | None = None,
    where: str = "",
    references: object = None,
    unlike: object = None,
) -> CheckedMessage:
    """Check a message and resolve its reference.

    Args:
        text: what the user wrote.
        reference: a new reference image, None for none.
        state: the conversation so far; ranks refer to its last results.
        collection: the images; where it takes files, the reference may be another one.
        feedback: a like or rejection given by rank; the text is then shown and not parsed.
        where: the filter of the turn's settings.
        references: several new references in the place of one.
        unlike: pictures of what is not wanted; so are the references of "not like this".

    Raises:
        BadInput: no, too long or invalid text; an unknown command; a rank that was not shown; a reference that
            is not there or is no image; a filter that cannot be used.
    """
    query, shown = check_query(text), state.get("results", [])
    pictures = named_references({"reference": reference, "references": references})
    if feedback is not None:
        parsed = apply_feedback(feedback, shown)
    elif (pictures or unlike) and (words := unlike_picture(query)) is not None:
        parsed = ParsedMessage(words=words, liked=[], rejected=[])
        reference, references, unlike = None, None, [*pictures, *names(unlike, "unlike")]
    elif pictures and not query.startswith("/"):
        parsed = beside_picture(query)
    else:
        parsed = read_message(query, shown)
    for each in filter(None, (where, parsed.where)):
        collection.matching(each)
    found, notes = brought(check_reference(reference, collection), references, unlike, collection)
    if not parsed.words and not state.get("request"):
        raise BadInput("nothing is looked for yet; say what to look for")
    return CheckedMessage(text=text, query=query, feedback=feedback, parsed=parsed, **found, notes=notes)


def check_reference(reference: object, collection: Collection) -> str | None:
    """The reference as `find_reference` gives it, where a model can be shown it.

    Raises:
        BadInput: it is not there, or is no image.
    """
    found = find_reference(reference, collection)
    if found is not None and found not in collection:
        collection.reference(found)
    return found


def begun_anew() -> dict[str, Any]:
    """What a picture with words resets: they say how the wanted image differs from it, not from what was looked for.

    What was rejected stays so.
    """
    reset = {*OF_TOPIC, "request", "intent", "facts"} - {"rejected", "excluded"}
    return {name: value for name, value in new_conversation().items() if name in reset}


def has_words(state: State) -> bool:
    """Whether the turn's message has words that a model must interpret."""
    return state["query"] != state["request"] or is_first(state)


def is_first(state: State) -> bool:
    """Whether there is no intent yet."""
    return not state["intent"]["full"]
