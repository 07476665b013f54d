"""English words that describe nothing one could see: grammar, and the words of asking for a picture.

Not here: what changes what is wanted, however short it is. "without", "nobody", "two", "few", "behind" and "bigger"
must be understood; "together", "has" and "from" need not be.
"""

from __future__ import annotations

FUNCTION_WORDS = frozenset("""
    the this that these those its it's there here they them their theirs you your yours our ours his her hers him she
    and but nor yet for from into onto with
    are was were been being am has have had having does did doing done can could may might must shall should will would
    who whom whose which what when where how why whether because since though although while that's there's
    some any each every all both either one ones own such very really quite rather just only also too even still again
    then than else together well maybe perhaps somehow somewhere please thanks hello
    i'd i'm i've you're let let's want wants wanted wish need needs prefer like liked love look looking show showing
    shown shows see seen seeing find finding search searching give get got take taken make made keep kept
    bring put use using remember think mean called something anything
    image images picture pictures photo photos photograph photographs photography pic pics shot shots snapshot reference
    references query result results example
    first second third
""".split())  # fmt: skip  # noqa: SIM905
