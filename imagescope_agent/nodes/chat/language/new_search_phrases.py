"""English phrases by which a message begins a new search: "start over with ...", "forget that, find me ..."."""

from __future__ import annotations

import re

from imagescope_agent.nodes.intent.drift import content_words

_SO_FAR = r"(?:\s+(?:so\s+far|above|before|until\s+now|(?:that\s+)?i(?:['’]ve|\s+have)?\s+(?:said|wanted)))?"
_PHRASE = rf"""(?:
      (?:let(?:['’]?s|\s+us|\s+me)\s+|(?:can|could|may)\s+(?:we|i)\s+|(?:i['’]?d\s+like|i\s+want)\s+to\s+|we\s+)?
      (?:start|begin)\s+(?:all\s+)?(?:over(?:\s+again)?|again|afresh|anew|(?:again\s+)?from\s+(?:scratch|zero|nothing))
    | (?:(?:start|begin)\s+)?(?:a\s+)?(?:whole\s+|completely\s+)?new\s+search
    | (?:forget|scratch|drop|clear|scrap|bin|ignore|discard|erase|delete|cancel|undo|wipe|reset)\s+(?:about\s+)?
      (?:it\s+all|all(?:\s+of)?\s+(?:that|this|it)|everything|all(?=\s*(?:[,.;:!-]|$)|\s+and\b)){_SO_FAR}
    | (?:instead\s+of|in\s+place\s+of|rather\s+than)\s+(?:all\s+(?:of\s+)?(?:that|this)|everything){_SO_FAR}
    | forget\s+the\s+(?:rest|lot)
    | (?:(?:now|i\s+want|let['’]?s\s+(?:try|do))\s+)?(?:for\s+)?
      something\s+(?:else|(?:completely|entirely|totally|quite)\s+(?:else|different|new))(?:\s+(?:entirely|altogether))?
    )(?:\s+(?:now|then|please))*"""
_OPENERS = r"(?:(?:ok(?:ay)?|no|nah|wait|well|so|please|now|actually|right|alright|sorry|hm+|oh)\b[\s,.!-]*)*"
_ANOTHER = (
    r"let['’]?s\s+(?:do|try)\s+another\s+(?:one|picture|image|photo|search)(?!\s*,?\s*(?:but|with|without)\b)"
)
FIRST = re.compile(
    rf"\s*(?P<phrase>{_OPENERS}(?:{_PHRASE}|{_ANOTHER}))(?:\s*[,.;:!\u2013\u2014-]+\s*|\s+(?=with|and|without)|\s*$)",
    re.I | re.X,
)
LAST = re.compile(rf"[,.;:!\u2013\u2014]\s*(?:and\s+)?(?P<phrase>{_PHRASE})\W*$", re.I | re.X)
LINK = re.compile(r"\s*(?:(?:and|then|now|with|by)\b[\s,:]*)+", re.I)
TAKES_BACK = re.compile(
    r"\W*(?:remove|forget|drop|scratch|clear|scrap|bin|erase|delete|cancel|undo|wipe|ditch|lose|no|not|never)\b",
    re.I,
)
#: What turns away from all that was said, where a search for something else follows: "forget that, find me a cat".
_AWAY = rf"""{_OPENERS}(?:
      (?:forget|scratch|scrap|drop|ditch|bin|disregard|discard|ignore|dump|abandon|enough\s+of|no\s+more\s+of)
      \s+(?:about\s+)?(?:(?:all\s+(?:of\s+)?)?(?:that|this|it|those|these|them)|the\s+above)
    | (?:never\s*mind|leave|skip)\s+(?:about\s+)?all\s+(?:of\s+)?(?:that|this|it|those|these|them)
    )(?:\s+(?:one|ones|picture|pictures|image|search|now|then|please))*"""
_SEARCH = r"""(?:(?:ok(?:ay)?|and|but|now|then|so|instead|please|rather)\b[\s,]*)*(?:
      (?:i|we)(?:\s+(?:am|are)|['’]?m|['’]re)?\s+(?:(?:actually|really|now|rather)\s+)*
      (?:looking|searching|hunting|after)\b
    | (?:i|we)(?:['’]?d|\s+would)?\s+(?:(?:actually|really|now|rather|much)\s+)*
      (?:want|need|like|prefer|have|see|seek)\b
    | what\s+(?:i|we)(?:['’]m)?\b.{0,30}?\b(?:want|need|like|looking|searching|after)\b
    | (?:find|show|get|give|bring|fetch)\s+(?:me|us)\b | (?:look|search|hunt)\s+for\b
    | let\s+(?:me|us)\s+(?:have|see)\b
    )"""
_THING = r"(?:(?:exactly|only|just)\s+)?(?:an?|some|one|two|three|four|five|six|seven|eight|nine|ten)\s"
TURN = re.compile(
    rf"\s*(?P<away>{_AWAY})(?:\s*[,.;:!\u2013\u2014-]+\s*(?={_THING})|(?:\s*[,.;:!\u2013\u2014-]+\s*|\s+(?:and\s+)?)(?={_SEARCH}))",
    re.I | re.X,
)
TURNED_AWAY = re.compile(rf"\s*{_AWAY}\W*", re.I | re.X)
SEARCHES = re.compile(rf"\s*{_SEARCH}", re.I | re.X)
NAMES = re.compile(rf"\s*{_THING}", re.I)
#: Words of new starts that name nothing to be seen.
STARTING = content_words("""
    new anew afresh fresh start started restart begin beginning over again scratch zero nothing square first top back
    reset wipe wiped clear clean slate blank board drawing forget drop scrap bin throw away toss ditch dump discard
    ignore erase delete cancel undo void chuck everything lot said wrong wanted idea plan topic subject search target
    round time attempt try another different else altogether entirely completely totally quite let go want like need
    please good now later mind never changed rid get turn leaf whole thing out done finished once
""")


POLITE = content_words("please pls thanks thank now then ok okay sorry again")
