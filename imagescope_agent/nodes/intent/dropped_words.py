"""Words of a query about several references that the intent does not carry, so that nothing checks them.

What a reference gives is often an attribute or a place, which the intent names by its value: "in the colour of the
boat" becomes "a blue house". So the words for these, and the thing that lends its colour, are not missed.
"""

from __future__ import annotations

import re

from imagescope_agent.nodes.intent.drift import content_words, is_english
from imagescope_agent.records import NoteDict, note
from imagescope_agent.state import Intent

#: Words of asking, of pointing at a picture, and of what a value stands for.
_SCAFFOLD = content_words("""
    first second third fourth fifth last number reference photo shot view frame version copy original
    want wish need prefer rather please find search give get got take taking taken have having let put move bring borrow
    leave left left-hand combine merge mix match swap replace replaced turn turned become stay stand goes join
    use using drop forget ignore imagine remember mind idea right wrong fine nice perfect exactly instead together
    apart along plus minus except besides without within inside outside around behind front middle
    thing object item stuff part piece detail element else everything rest way kind type sort example
    place location setting background surroundings environment landscape scenery weather site spot
    colour color hue shade tint tone dye dyed paint painted coloured colored
    shape form size style look pattern texture material same equal similar different identical just
    two three four five six seven eight nine ten again there where were time
""")
_LENT = r"colou?r\w*|(?:hue|shade|tint|tone|shape|style|pattern|texture|material|size)s?|(?:dy|paint|tint)ed"
#: A thing that only lends a value: up to six words after "colour of", or before "'s colour".
_LENDS = re.compile(rf"\b(?:{_LENT})\b(?:[^\w,.;:]+[\w']+){{0,6}}|[\w']+['’]s?\W+(?:{_LENT})\b", re.I)


def dropped_words(intent: Intent, query: str) -> list[str]:
    """The words of an English query that name something and are in no part of the intent, in their order."""
    if not is_english(query):
        return []
    steps = " ".join(step["text"] for step in intent["steps"])
    said = content_words(" ".join([steps, intent["core"], intent["enhanced"], intent["full"]])) | _SCAFFOLD
    words = re.findall(r"[^\W\d_]{3,}", _LENDS.sub(" ", query))
    return [word for word in dict.fromkeys(words) if (found := content_words(word)) and not found & said]


def note_dropped(intent: Intent, query: str, step: str) -> list[NoteDict]:
    """A note on the words that were dropped; none where there are none."""
    shown = ", ".join(repr(word) for word in dropped_words(intent, query)[:5])
    detail = f"{shown}: nothing in what was understood says so; make sure that what was understood is meant"
    return [note(step, "unchecked", detail)] if shown else []
