"""Grammars of phrases: each line makes hundreds of wordings, where the lists of `phrases` hold one.

"[a|b|]" stands for one of its alternatives, the last of which is nothing here; they may hold others. Slots are those of
the lists that a grammar stands beside.
"""

# ruff: noqa: E501 - a grammar is one line
from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

MADE = 0.5  # of the phrases, where there is a grammar beside their list
_INNERMOST = re.compile(r"\[([^\[\]]*)\]")


def lines(text: str) -> tuple[str, ...]:
    """The grammars of a text, one a line."""
    return tuple(line.strip() for line in text.strip().splitlines())


def spoken(grammar: str, rng: Random) -> str:
    """One wording of a grammar; slots are kept."""
    while found := _INNERMOST.search(grammar):
        grammar = f"{grammar[: found.start()]}{rng.choice(found[1].split('|'))}{grammar[found.end() :]}"
    return re.sub(r"\s+([,.?!;:])", r"\1", " ".join(grammar.split()))


def worded(listed: Sequence[str], grammars: Sequence[str], rng: Random) -> str:
    """A phrase of a list, or one that a grammar makes."""
    return spoken(rng.choice(grammars), rng) if rng.random() < MADE else rng.choice(listed)


SKIPS = lines("""
[I|I really|I honestly|I simply|we|I just] [have no|haven't any|have absolutely no|have zero|lack any|haven't got any] [idea|notion|memory of that|recollection of this|information on that|view on that|opinion about that|insight|feeling about it]
[I|I really|I honestly|afraid I|sorry, I|hm, I|well I|frankly I] [can't|cannot|couldn't|could not|won't|am unable to|wouldn't be able to] [say|tell|answer|remember|recall|judge|decide|respond to that|make that out|work that out|think of anything|help with that|be certain|be of help|place it|picture it]
[I|I really|I think I|I'm afraid I] [didn't|did not|never|hardly|barely] [look|notice|see|check|pay attention|look that way|look at it|see that part|get to see that|watch|register that|look closely enough]
[it|that|this|which one|this detail|that bit|that part|this point] [isn't|is not|wasn't|is hardly|is scarcely|is in no way|isn't really|needn't be] [important|relevant|of interest|decisive|crucial|significant|a concern|clear to me|known to me|for me to say|something I know|fixed|settled|certain|critical]
[any|either|every one|all|each] [of them|of those|option|choice|answer|] [will do|is fine|works|suits me|is good|would be okay|is all right with me|is acceptable]
[it's|it is|that's|that is|] [all|quite|completely|totally|really|entirely] [the same|one|irrelevant|unimportant|up to you|your call|open|unknown|lost on me|a mystery|a riddle] [to me|for me|as far as I care|]
[that|the name|the detail|the answer|this] [has gone|is gone|went|has vanished|is lost|is missing|has faded] [from my memory|from my head|out of my head|from my mind|]
[you|you people|the computer|the machine] [choose|decide|pick|may decide|can decide|should decide|be the judge|judge|settle it|select]
[let's|let us|can we|could we|may we|we should|better] [pass over|jump over|leave|set aside|put off|postpone|drop|leave open|not dwell on|ignore] [that|this|this one|that one|the question|your question|that point|it]
[ask|try|give me|take|pose] [a different|another|the next|some other|an easier|a better|a new] [question|one|thing to answer]
[no|not any|zero|hardly any] [idea|memory|recollection|knowledge|hint|thought|opinion|preference|answer] [here|there|on that|about it|at all|of it|from me|today|at this point|]
[not|not entirely|not fully|not quite|not exactly|far from] [sure|certain|clear|decided|convinced] [about it|about that|on that|there|any more|yet|at the moment|here|]
[my] [memory|mind|head|brain] [is blank|is empty|is foggy|won't serve|lets me down|fails there|refuses|isn't that good|is a sieve|has gone blank]
[who could|who can|who would|how could I|how can I|how would anyone|how should anybody] [say|tell|know|remember|guess|know that]
[I'd|I would|I could|I can] [only|just|merely] [guess|speculate|be making it up|toss a coin|invent something|flip a coin]
[the|its|that|the exact] [colour|size|number|place|time|background|setting|kind|shade|position|hue] [is|was|can be|may be|would be|could be] [anything|whatever|any|open|unimportant|secondary|unknown to me|up to you|beside the point|no issue|not known]
[any|whatever|whichever|some|just any] [colour|size|number|place|time|background|setting|kind|shade|position|hue] [really|you like|you fancy|will do|goes|is good|would do|, I don't mind|, it's all fine|, pick one]
[I don't|I do not|we don't|I didn't] [mind|care|know|have a view|remember|think so far|see why it matters|attach weight to that|have that information|want to say|wish to answer|have a favourite|fuss over such things|follow]
[nothing|that] [comes to me|occurs to me|stirs|rings out|sounds familiar|says anything to me|sticks in my mind|springs to mind|I can speak to]
[that|it|this|the question] [doesn't|does not|didn't|won't] [sound familiar|sound known|say anything to me|tell me anything|mean a thing to me|speak to me|bring anything back|come back to me|trigger a thing|jog my memory|strike a chord|matter a bit]
[doesn't|does not|didn't] [sound familiar|sound known|say anything to me|tell me anything|mean a thing|bring anything back|come back to me|trigger a thing|jog my memory|strike a chord|matter a jot]
[you've|you have|that's|this is where you] [caught me out|got me|stumped me|found a gap|too hard for me|asking too much|beaten me|over my head|outside what I know]
""")

#: A sentence about something that is broken off and not meant.
BROKEN_OFF = lines("""
[it had|there was|there stood|beside it was|it was near|behind it was|I saw|then came] [a|some|a sort of|a kind of|this] [big|tall|old|strange|little|] [thing|um|er|what's it called|] ... [no|well|oh|ah|hm|] [never mind|forget it|not important|leave it|skip it|let it be|it's nothing|doesn't matter|I lost it]
[the|that|my] {kind} [was|looked|stood|had|seemed|lay] [quite|rather|so|very|sort of|a bit|all|] ... [no|well|oh|ah|hm|] [never mind|forget it|not important|leave that|skip it|let it be|it's nothing|doesn't matter|I lost it]
""")

MORES = lines("""
[show|give|let me see|I'd like|I'd love|can I have|could I get|may I see|bring|fetch|serve|hand|pass|send] [me|us|] [the next|some more|a few more|further|additional|other|different|extra|the other|another set of|several more] [results|pictures|images|photos|hits|ones|matches|finds|suggestions|candidates|proposals|shots]
[is|are] [there|there any|that all there is, or is there|there possibly] [something|anything|others|further ones|more|any more|additional ones|a second page|another page]
[what|which] [else|others|other ones|other pictures|further ones|more] [have you|do you have|can you offer|is there|are there|did you find|came up|turned up|have you found] [for me|in stock|on offer|over there|]
[go|move|keep going|carry on|scroll|page|flip|continue|read on] [on|further|forward|down|ahead|through the list|to the next page|to those that follow|along]
[continue|proceed|resume|keep at it] [with the list|with the results|with the search|please|showing|]
[I've|I have] [seen|looked at|been through|gone through|checked] [these|those|all of these|this lot|the first ones] [already|now|, go on|, what's next|, and the next|, others please]
[and|so] [what|which] [follows|comes next|is next|comes afterwards|is further down|is behind these]
[further|more|extra|additional|other] [candidates|hits|results|options|choices|finds|shots|ones] [please|if any|would be good|, if you have them|]
[don't|do not] [stop|stop there|stop now|hold back], [more|go on|keep them coming|show the rest]
""")

ASIDES = lines("""
[thanks|thank you|many thanks|cheers|much obliged|I'm grateful|bless you|kudos|hats off|respect] [for that|for this|for the effort|for helping|for your patience|for your work|to you|mate|so far|a million|indeed|]
[that's|that is|this is|you are|how|really|very|so|pretty|quite] [nice|kind|good|lovely|sweet|clever|helpful|brilliant|funny|neat|great|thoughtful|impressive|amusing|weird] [of you|work|to see|to hear|indeed|stuff|already|]
[what|who|where|when|why|how] [is|was|are|were] [the|your|my|our] [best|latest|next|favourite|cheapest|nearest|oldest] [film|book|recipe|train|song|restaurant|team|holiday|phone|bank|doctor|shop|game|programme]
[can|could|would|will] you [tell|send|order|buy|recommend|cook|write|read|fix|translate|call|reserve|sing|play|explain|teach] [me|my mother|my friend|us] [a|some|the|another] [poem|taxi|dinner|ticket|letter|song|joke|coffee|story|room|flight|newspaper|present|word]
[do|did|don't] you [like|know|watch|play|understand|enjoy|remember|follow] [tennis|chess|music|cooking|maths|French|Italian food|the match|poetry|politics|the election|philosophy|movies]
[what|how] [do you|did you|does one] [think|make|reckon] of [the match|the election|the match last week|modern art|the new film|your job|taxes|the news this morning|rugby]
[I|we] [had|have|saw|ate|bought|missed|lost] [a|my|the|some] [lunch|headache|meeting|bus|keys|train|cold|dinner|new job|long day|birthday] [today|yesterday|this morning|just now|last week|again|]
[oh|ah|well|wow|hey|gosh|my] [that was|this is|what a] [quick|fast|a surprise|slow|a relief|nice|fun|great|joke|day]
[the|my|our] [boss|phone|neighbour|train|coffee|computer|kettle|bus|meeting|brother] [is|was] [calling|late|ringing|broken|here|cold|waiting|annoying|on the phone] [again|now|]
[see|talk to|catch] you [later|soon|tomorrow|next week|around]
[just|only] [kidding|joking|saying|testing|playing around|having a look]
""")

#: Of a thing that is wanted, so that what replaces it is one as well; the new thing behind or before the old one.
THING_SWAPS = lines("""
[swap|exchange|switch|substitute|change] [the|that|my] {old} [for|against|with|to] {x}
[swap|exchange|switch] {x} [in|] for the {old}
[put|place|have|use|take|set] {x} [where the {old} was|where the {old} is|instead of the {old}|in place of the {old}|rather than the {old}]
[the|that|this] {old} [should|must|has to|ought to|needs to|might better|could] be {x}
[the|that|my] {old} [was|is] [really|actually|in truth|in fact|, I now see, |rather|] {x}
[not|no, not|it's not|it wasn't|I don't want] [a|the] {old}[,| but| -] {x}
[turn|make|convert] the {old} into {x}
{x} [in for|replaces|instead of|in lieu of|in place of|rather than] the {old}
[the|that] {old} [goes|leaves|is out|gives way], {x} [comes|comes in|is in|takes its place|goes in]
[sorry|oops|no|no wait|wait|hm|hold on|pardon|argh|I mean|excuse me|ah no|whoops], [I meant|I was thinking of|make it|I wanted to say|it's|that's|rather|should be|it was] {x}[, not the {old}|, no {old}|]
""")

COLOUR_SWAPS = lines("""
[the|that|my] {kind} [comes|came|goes|went|appears|appeared|ends up|shows] in {colour}
[no|no wait|hm|oops|sorry|pardon|whoops|hold on|ah|correction], [the|that|my] {kind} [was|is|looked|seemed|must be|has to be|had to be] {colour}
[I|I had] [mixed up|muddled|confused|got wrong] the [colour|colours|shade] [there|of the {kind}|]: [the {kind} was {colour}|{a_colour} {kind}]
[change|alter|correct|adjust|edit|amend|fix] the {kind}['s colour|] to {colour}
[the|that|my] {kind} [would be|should be|could be|ought to be|had better be] {colour} [, really|, rather|after all|instead|, not {old}|and not {old}|]
[the|that] {old} [{kind}|one|bit|part] [was|is] [wrong|a slip|an error|not right|off], [it's|it is|make it|I meant|rather] {colour}
[have|let|see that] the {kind} [be|turn|become] {colour} [instead|rather|]
{colour} [rather|it must be|it has to be|would be right|is more like it] for the {kind}
[if you ask me now|now that I think of it|looking again|on closer thought|well, thinking back], the {kind} was {colour}
""")

PLACE_SWAPS = lines("""
[no|no wait|hm|oops|sorry|pardon|whoops|hold on|ah|correction], [the whole thing|it all|the scene|everything|it] [was|is|happened|took place] {place}
[swap|exchange|switch|change] [the place|the setting|the scenery|the time|the background] [for|to]: {place}
[I'd|I] [said|put|told you|given] {old}[, which was wrong|, that's wrong|, wrongly|, my error|]: [it was|it's|make it|rather] {place}
[scrap|strike|cross out|take away] the {old}[, it was|, make it|: it's|; rather] {place}
""")

WITHDRAWALS = lines("""
[you can|you may|we can|we could|let's|I'd|please|just|do|better] [strike|cross out|cancel|leave out|forget|drop|let go of|take back|erase|unsay|discount|overlook|ignore|skip|undo] [the|that|my] {name} [now|again|please|after all|thing|part|wish|idea|then|]
[the|that|my] {name} [is no longer|was never|isn't|is not|needn't be|need not be|no longer is] [needed|necessary|required|wanted|asked for|important|a requirement|there for sure|a condition|one of my wishes|part of it]
[the|that|my] {name} [may|can|could|might|should] [as well|just as well|well|happily|quietly|] [stay away|be missing|be left out|be absent|not be there|drop out|be forgotten|be dropped]
[I|we] [no longer|don't|do not|needn't|won't] [need|insist on|require|ask for|look for|care for|search for] [the|that|my] {name} [any more|any longer|now|after all|]
[I|we] [take|took|want to take|have to take] [the|that] {name} [back|off again|off the wishes]
[forget|ignore|strike|drop|disregard] [that I|what I|everything I|all I] [said|asked|wanted|told you|mentioned|brought up] [of|about|regarding] [the|a] {name}
[the|that] {name} [was|is] [an error|a slip|a guess|invented|imagined|dreamt up|a false memory|a wrong track|too much|a bad thought][, drop it|, leave it|, forget it|, strike it|, out with that wish|]
""")

#: Before the new wish of a new search.
RESTARTS = lines("""
[let me|let's|let us|I'd like to|I want to|can we|could we|we'd better|I'll|may I] [begin|start|try|search|do it|go at it|have a go|put it] [again|anew|afresh|from scratch|from zero|all over|from the top|once more] [now|then|please|with this|differently|]
[forget|drop|ditch|dump|bin|discard|delete|erase|void|wipe|abandon|leave] [all|everything|all of that|the lot|the whole thing|the whole picture|that picture|this search|the search|all of it|my wishes] [so far|I told you|up to now|we had|I wanted|from before|] [now|please|and hear this|and take this|and try this|]
[that|this|it all|everything|the whole search|what I described] [was|is] [wrong|the wrong picture|a dead end|a mistake|off track|not it|useless|hopeless][, new start|, start again|, afresh|, from zero|, something else|, so anew|]
[now|next|time for|on to|over to|here comes|I have] [another|a different|a new|one more|a fresh|the next] [picture|search|request|wish|task|target|job|thing to find]
[I'll|I'd better|may I] [say|put|phrase|describe|word|reword|explain] [it all|everything|the whole thing|all that|it] [again|anew|differently|in another way|from the start|otherwise]
[away|off|out|down] with [all that|everything|that picture|the whole lot|all of this]
""")
#: The new wish with what stands around it.
RESTART_FRAMES = lines("""
[forget|drop|ditch|dump|bin|discard|abandon|leave|stop] [all that|everything|the lot|that picture|this search|that one|the whole picture] [and|, and|, then|, now|and rather|and instead] [find|look for|search for|go for|track down|seek|show me|get me|fetch|bring me] {q}
[now|then|next|after that] [find|look for|search for|track down|seek|show me|get me] {q} [instead of all that|instead of the above|, nothing of the above|and forget the above|rather than that picture]
[I changed my|I have changed my|we changed our] mind [entirely|about everything|altogether|about all of it]: {q}
[what I|what we|all I] [really|actually|truly|in truth|now] [want|need|am after|look for|should find] [is|is this|instead is] {q} [, nothing else|, forget the rest|, not what I said before]
""")
