"""What leads to a wish without being part of it: "hi, could you find me a picture of ..."."""

from __future__ import annotations

import re

_PICTURE = (
    r"(?:(?:(?:an?|the|that|this|my|some|any)\s+)?(?:picture|pic|photo|photograph|image|shot|one)s?"
    r"|something|anything)"
)
_THERE_IS = r"(?:there|it)\s+(?:is|was|are|were|has|had)"
_IS = r"(?:\s+(?:is|was|are|were|has|had|shows?|showed|should\s+(?:have|be))|['’]s)"
_MEANT = r"want|need|like|love|meant|mean|remember|recall|think|believe|guess|seek|prefer"
_SEE = r"(?:see|have|get|find|look\s+(?:at|for))"
_FRAMING = re.compile(
    rf"""(?:
      good\s+(?:morning|afternoon|evening|day)(?=[\s,.!:])[\s,.!:]*
    | (?:so|well|ok|okay|right|alright|like|basically|honestly|you\s+know)\s*,\s*
    | (?:so|well|ok|okay|right|alright|basically|honestly)\s+
      (?=(?:so|um+|uh+|er+|yeah|like|basically|an?|the|some|i|we)\b)
    | (?:can|could|may|might)\s+(?:i|we)\s+(?:please\s+)?{_SEE}\s+
    | (?:let['’]?s|let\s+(?:me|us)|lemme|wanna|i\s*(?:['’]d|\s+would)\s+rather)\s+{_SEE}\s+
    | (?:got|gimme)\s+(?=(?:an?|the|any|some)\b)
    | (?:need|want)\s+(?=(?:an?|the|some)\b)
    | (?:what|how)\s+about\s+(?=\w)
    | (?:my|our)\s+\w+\s+(?:wants?|needs?|would\s+like)\s+(?:to\s+{_SEE}\s+)?
    | would\s+it\s+be\s+possible\s+to\s+{_SEE}\s+
    | (?:i|we)\s+(?:(?:am|are|was|were)\s+)?wonder(?:ing)?\s+(?:if|whether)\s+(?:you|we|i)\s+(?:can|could)\s+
    | it\s+to\s+(?:show|have)\s+
    | (?:hi|hello|hey|hiya|ok|okay|well|plus|so|then|now|no|yes)\s*[,.!:]+\s*
    | (?:hi|hello|hey|ok|okay|well|so|then|now)\s+(?=(?:i|we|can|could|please|show|find|look|looking|there|search)\b)
    | (?:no|nope|oh|ah|uh)\s+(?=(?:wait|sorry|hang\s+on|hold\s+on|actually|i\s+mean)\b)
    | (?:hang|hold)\s+on(?=[\s,.!:])[\s,.!:]*
    | (?:please\s+)?feel\s+free\s+to\s+
    | (?:um+|uh+|er+)(?=[\s,.!:])[\s,.!:]*
    | (?:hmm+|please|pls|plz|and|also|but|actually|maybe|perhaps|yeah|nah|nope|oh|ah|wait|sorry|rather|instead)
      (?=[\s,.!:])[\s,.!:]*
    | i(?:\s+am|['’]?m)\s+(?:quite\s+|pretty\s+)?(?:sure|certain|positive)\s+(?:that\s+)?
    | (?:is|are|was|were)\s+there\s+(?:(?:any|also)\s+)?
    | (?:do|did)\s+(?:you|we)\s+have\s+(?:any\s+)?
    | (?:can|could|would|will)\s+you\s+(?:(?:please|maybe)\s+)?
    | (?:i|we)(?:\s+(?:am|was|are)|['’]?(?:m|re))\s+(?:looking|searching|hunting|after)(?:\s+for)?[\s,]+
    | (?:looking|searching|hunting|search|look)\s+for\s+
    | i\s*(?:['’]?d|\s+would)?\s*(?:{_MEANT})(?:\s+(?:to\s+(?:see|find|have)|that\b|{_THERE_IS}))*\s+
    | (?:show|find|get|give)\s+(?:me|us)\s+
    | find\s+(?=\w)
    | show\s+(?={_PICTURE}\b|an?\b|the\b|some\b|all\b|any\b)
    | (?:add|include|make\s+(?:it|that)|change\s+(?:it|that)\s+to|let['’]?s\s+(?:say|have))\s+
    | there\s+(?:is|was|are|were|(?:should|must|has\s+to)\s+be)\s+(?:also\s+)?
    | (?:it|they|he|she|that|this){_IS}\s+(?:also\s+)?
    | {_PICTURE}\s+(?:of|with|where|showing|that\s+(?:shows?|has)|has|shows?|in\s+which)\s+(?:{_THERE_IS}\s+)?
    )""",
    re.I | re.X,
)
_ENDING = re.compile(
    r"(?<![\s,.!])[\s,.!]+"
    r"(?:please|pls|plz|thanks|thank you|thx|i (?:think|guess|believe)|too|as well|instead|actually)[\s.!]*$",
    re.I,
)


def without_framing(text: str) -> str:
    """A part of a message without what leads to its wish and follows it; a text that is nothing else stays.

    >>> without_framing("Hi, I'm looking for a photo of a dog on a couch, please!")
    'a dog on a couch'
    """
    found = _ENDING.sub("", " ".join(text.split())).strip(" ,.!?")
    while match := _FRAMING.match(found):
        found = found[match.end() :]
    return found.strip(" ,.!?") or text.strip()
