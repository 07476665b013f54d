"""Phrases of messages that correct, refine or take back what was said before; slots as in `phrases`."""

from __future__ import annotations

from imagescope_agent.lab.scenes.dialog.phrases import phrases

COLOUR_CORRECTIONS = phrases("""
the {kind} isn't {old}, it's {colour} | the {kind} isn't {old} at all but {colour}
it's not {an_old} {kind} but {a_colour} one
the {kind} wasn't {old} but {colour} | the {kind} ain't {old} but {colour} | {kind} not {old}, {colour}
that {kind} of mine is {colour} | it's the {kind} that was {colour} | {colour} was the {kind}
{colour} is what the {kind} was
that's no {old} {kind}, that's {a_colour} one | the {kind} in {old}? no, in {colour}
the {kind} is {colour}, come to think
for the {kind}, {old} was wrong, {colour} is right | {old} for the {kind} was wrong: {colour}
the {kind} needs to be {colour}
the {kind} has to be {colour} instead | I had the {kind} as {old}, but it's {colour}
I'd said {an_old} {kind}, I meant {a_colour} one
my {kind} was {colour} | hang on, {colour} {kind} | well no, the {kind} is {colour} | nope, {a_colour} {kind}
the {kind} changed to {colour} | repaint the {kind} {colour} | I see now that the {kind} is {colour}
what was {old} should be {colour}: the {kind} | {kind} in {colour} instead of {old}
the {kind} rather in {colour}
the {kind} is really {colour} | in fact the {kind} is {colour} | hold on, the {kind} is {colour}
that {kind} is {colour} | that {kind} was in fact {colour} | it's {a_colour} {kind}
it was {a_colour} {kind} | it was {a_colour} {kind}, not {an_old} one | {a_colour} {kind}, not {an_old} one
{an_old} {kind}? no, {colour} | {a_colour} {kind} rather than {an_old} one
the {kind} is {colour} rather than {old} | the {kind} was never {old}, it is {colour}
I don't mean {an_old} {kind}, I mean {a_colour} one | the {kind} is not {old}, it is {colour}
did I say {old}? the {kind} is {colour} | {a_colour} {kind} in place of the {old} one
the colour of the {kind} is {colour} | the {kind}'s colour is {colour} | for the {kind}: {colour}
colour of the {kind}: {colour} | the {kind} in {colour} please | paint the {kind} {colour}
switch the {kind} to {colour} | give the {kind} the colour {colour} | have the {kind} in {colour}
now {a_colour} {kind} | I want the {kind} {colour} now | the {kind} is wrong, it was {colour}
that's not right, the {kind} is {colour} | you got the {kind} wrong: it's {colour}
excuse me, the {kind} was {colour} | apologies, {a_colour} {kind} | my bad, {a_colour} {kind}
oops, {a_colour} {kind} | err, the {kind} was {colour} | I misspoke, the {kind} is {colour}
I mixed that up, the {kind} is {colour} | looking back, the {kind} was {colour}
thinking about it, the {kind} was {colour} | the {old} {kind} is {colour}
the {kind} was meant to be {colour} | the {kind} should have been {colour}
the {old} {kind} was {colour} actually | that {kind} I mentioned was {colour}
the {kind} turned out {colour} | {old} is wrong, the {kind} is {colour}
with {old} I was wrong, the {kind} is {colour} | the {kind}: not {old}, {colour}
the {kind}, I now think, was {colour} | no, the {kind} is {colour} | make the {kind} {colour}
the {kind} is {colour}, not {old} | no, {a_colour} {kind} | {a_colour} {kind} instead of the {old} one
the {kind} should be {colour} | actually, the {kind} is {colour} | sorry, I meant {a_colour} {kind}
sorry, the {kind} was {colour} | I was wrong, the {kind} is {colour} | not {old} but {colour}
oh wait, the {kind} was {colour} | wait, {colour}, not {old} | I meant {colour}, not {old}
change the {kind} to {colour} | turn the {kind} {colour} | on second thought, {a_colour} {kind}
rather {a_colour} {kind} | the {kind} must be {colour} instead | could the {kind} be {colour} instead
no no, {a_colour} {kind} | correction: the {kind} is {colour} | I said {old} but it is {colour}
it wasn't {old}, it was {colour} | the {old} {kind} should be {colour} | let the {kind} be {colour}
my mistake, {a_colour} {kind} | replace the {old} {kind} with {a_colour} one
swap the {old} {kind} for {a_colour} one | I'd rather have the {kind} {colour}
""")

LAST_CORRECTIONS = phrases("""
it isn't {old} but {colour} | it isn't {old}, it's {colour} | {old} is wrong, {colour} is right
wasn't {old}, was {colour}
that should have been {colour} | nope, {colour} | well, more like {colour} | {old}? no, {colour}
{colour}, I mean | I mean {colour} | oops, {colour} | {a_colour} one instead
not {an_old} one, {a_colour} one | better {colour} | in {colour}, not {old} | {colour} rather than {old}
that one was {colour} | hm, rather {colour} | it should be {colour} | it was {colour}, I think
no, the {colour} one | no, {a_colour} one | not {old}, {colour} | make it {colour} | {colour} instead
rather {colour} | I meant {colour} | sorry, {colour} | actually {colour} | no wait, {colour}
it is {colour}, not {old} | no, {colour} | wait, I meant {a_colour} one
""")

PLACE_CORRECTIONS = phrases("""
it isn't {old} but {place} | {old} is not right, {place} | {old}? no, {place} | not {old}! {place}
that was wrong: {place}
the hour is wrong, {place} | the surroundings are wrong, {place} | I said {old}, it's {place} though
wait, {place}, not {old}
what I remembered as {old} was {place} | instead of {old} I'd have it {place} | move it all: {place}
the time was wrong, {place}
rather than {old}: {place} | I had it {old}, but it was {place} | it moved from {old}: {place}
wrong place, {place} | that's the wrong place, {place} | the setting is wrong: {place}
the place should be {place} | the setting should have been {place} | the setting changes: {place}
{place}, not {old} | not {old} but {place} | not {old}, {place} | {place} rather than {old}
{place} instead of {old} | no longer {old}, but {place} | it isn't {old}, it's {place}
it wasn't {old}, it was {place} | it was {place} rather | hold on, {place} | oops, {place}
I mixed that up, it was {place} | I now think it was {place} | in fact it was {place}
thinking again, {place} | change the setting to {place} | change of place: {place} | now {place}
now make it {place} | then {place} instead | this time {place} | I want it {place} now
I'd rather have it {place} | the background is not right, it is {place} | it's supposed to be {place}
it was supposed to be {place} | it should have been {place} | {old} was a mistake, it is {place}
forget {old}, make it {place} | from {old} to {place} | the setting I gave is wrong, {place}
I gave the wrong setting, it is {place} | the light was different, {place} | no, {place} | make it {place}
it is {place} | {place} instead | rather {place} | sorry, {place} | actually, it is {place}
I meant {place} | no wait, it was {place} | on second thought, {place} | I was wrong, it is {place}
not there, {place} | change it to {place} | the same, but {place} | but {place} | oh, it was {place}
correction: {place} | let it be {place} instead | better {place}
""")

COUNT_CORRECTIONS = phrases("""
no, {n} | {n}, not {old} | rather {n} | I meant {n} | {n} instead | actually {n} | not {old} but {n}
not {old}, {n} | it was {n} | there were {n}, not {old} | I miscounted, {n} | I counted again: {n}
better {n} | correction: {n} | let it be {n} | change it to {n} | the number is wrong, {n} | {n} now
on second thought {n} | wait, {n} | no wait, {n} | hm, it was {n} | I was wrong, {n} | no, {number}
{number}, not {old_number} | {number} instead | no, there were {number} of them | it was {number} of them
I meant {number} | {number} rather than {old_number} | there are {n}, I was wrong
I think it was {n} after all | oh, {n} | make it {number} instead of {old_number}
""")

REFINEMENTS = phrases("""
{colour}, the {kind} | {colour} was that {kind} | {colour} is the {kind} | the {kind}: {colour}
about the {kind}: it's {colour} | that {kind}'s {colour} | its colour, I mean the {kind}'s, is {colour}
my {kind} is {colour}
in {colour}, the {kind} | the {kind} I described is {colour} | let that {kind} be {colour}
the {kind} is {colour} | the {kind} was {colour} | that {kind} is {colour} | the {kind} should be {colour}
I think the {kind} is {colour} | I think the {kind} was {colour} | the {kind} is {a_colour} one
make the {kind} {colour} | it is {a_colour} {kind} | it was {a_colour} {kind}
the {kind} had {a_colour} colour | {a_colour} one, the {kind} | the colour of the {kind} is {colour}
by the way, the {kind} is {colour} | and the {kind} is {colour} | the {kind} must be {colour}
the {kind} looked {colour} | {a_colour} {kind}, I mean | I mean {a_colour} {kind}
""")

#: For what was excluded.
AFTER_ALL = phrases("""
{x} after all | {x} is fine after all | {x} may be there after all | I do want {x} | {x} is ok now
now I do want {x} | bring back the {bare} | the {bare} can come back | {x} would be all right
{x} is allowed | let {x} in again | there was {x} after all | I was wrong, there is {x} | yes, {x} is good
I take it back, with {x} | with {x} again
""")

WITHDRAWALS = phrases("""
I'm over the {name} | the {name} has become unimportant | let's not bother with the {name} | unsay the {name}
we may ignore the {name} | the {name} was never important | leave the {name} out of the request
take that {name} back | the {name} is history | waive the {name} | waive the {name} requirement
lift the {name} requirement | the {name} requirement can go | the {name} isn't a condition any longer
I'm not fixed on the {name} | I'm not set on the {name} | strike my remark on the {name}
let's say I never mentioned the {name} | pretend I never mentioned the {name} | pretend I said nothing of the {name}
the {name} is neither here nor there | I retract that {name} thing | the wish for the {name} is withdrawn
whether the {name} is in it or not is all the same | it can be without the {name} as well
the {name} is negotiable | the {name} is dispensable | I'm dropping the {name} | I've lost interest in the {name}
I won't insist on the {name} | the {name} may be there or may not | so much for the {name}, drop it
the {name} I'll give up | I give up on the {name} | I'd give up the {name} | the {name} part can be dropped
the {name} part isn't needed | minus the bit about the {name} | ignore the bit with the {name}
cancel that bit with the {name} | cross the {name} off | tick the {name} off | unmention the {name}
the {name} turned out not to matter | turns out the {name} doesn't matter | I'm told the {name} isn't needed
maybe not the {name} after all, whatever | we'd better forget the {name} | better forget the {name}
it's fine if the {name} isn't in it | it's fine if there's no such {name} | no problem if the {name} is missing
if the {name} is missing that's fine | the {name} can be missing | the {name} could be missing, too
the {name} could just as well not be there | you needn't look for the {name} | you don't have to find the {name}
don't search for the {name} any more | quit looking for the {name} | the search for the {name} can stop
I was only guessing about the {name}, drop it | I only imagined the {name} | I made up the {name}
there may not have been the {name}, leave it open | I can't vouch for the {name} any more
not sure the {name} was there, so drop it | I doubt the {name} now, leave it out of the search
the {name} was rubbish, cancel it | the {name} was a slip, strike it out | the {name} was silly, forget it
the {name} was a stupid thought, undo that | that {name} was nonsense, ignore it | the {name} was too much, drop it
the {name}: not so important | the {name}: doesn't matter now | the {name}: let it go | the {name}: forget it
concerning the {name}: cancel that | with the {name}: leave that | {name}? drop it | {name}? not needed any more
actually no need for that {name} | actually forget that {name} | actually skip that {name} thing
the {name} was a silly thought, take it away | the {name} was just a thought, forget it
that {name} idea was rubbish
I had the {name} wrong, it may be missing | the {name}: scratch that | {name}: cancel
{name}: not needed after all
about that {name}, strike it | strike the {name} | strike the {name} from my wishes | rub out the {name}
skip the {name}, I can live without it | skip the {name} | we can skip the {name}
I can live without the {name}
I could do without the {name} | I'd be fine without the {name} | we'd manage without the {name}
the {name} isn't a must for me | that {name}, forget I mentioned it | forget that I mentioned the {name}
forget what I said of the {name} | forget I ever asked for the {name} | not so important, the {name}
the {name} needn't appear | the {name} need not be in it | the {name} need not be visible
the {name} is off the table | the {name} is off the list | take the {name} off the list
off the list: the {name}
I don't insist on the {name} any more | I've gone off the {name} | never mind about the {name}
don't worry about the {name} | the {name} no longer interests me | I am no longer after the {name}
my wish for the {name} is void | the {name} doesn't have to show | let the {name} be, I don't need it
what I said about the {name} was nonsense | the bit about the {name} can be ignored
lose that bit about the {name}
no longer any need of the {name} | it'd be all right without the {name} too
I was mistaken about the {name}, leave it off
the {name} is not necessary | the {name} isn't needed any longer | the {name} is no longer needed
I no longer need the {name} | the {name} was a mistake | the {name} was a mistake, drop it
I should not have mentioned the {name} | delete what I said about the {name} | undo the {name}
undo what I said about the {name} | cross out the {name} | leave the {name} open
the {name} can be anything | the {name} may be left out | you can drop the {name} | you can skip the {name}
the {name} may or may not be there | with or without the {name} | with the {name} or without it
the {name} doesn't matter any more | the {name} makes no difference | the {name} is not a must
the {name} is not required | the {name} is no condition | the {name} is not essential
the {name} was not important | I was unsure about the {name}, leave it
I'm not sure about the {name} any more, drop it | about the {name}: forget it
as for the {name}, never mind | regarding the {name}, ignore it | don't bother about the {name}
don't look for the {name} | no need to look for the {name} | stop looking for the {name}
don't insist on the {name} | it need not have the {name} | it does not need the {name}
I changed my mind about the {name} | let go of the {name} | let's drop the {name} | let's forget the {name}
the {name}? forget it | the {name}? never mind | the {name}? not important | enough of the {name}
withdraw the {name} | retract the {name} | ignore that {name} | please disregard the {name}
drop that {name} | that {name} is not important | that {name} isn't important | that {name} can go
on second thought, no need for the {name} | we don't need the {name} | we don't need that {name}
the {name} is unnecessary | the {name} is superfluous | the {name} would not be needed
the {name} is not that important | the {name} does not matter | never mind the {name} | forget the {name}
I do not need the {name} | drop the {name} | forget about the {name} | ignore the {name}
the {name} is not important | the {name} isn't important any more | scrap the {name}
I take back the {name} | take back what I said about the {name} | cancel the {name}
remove the condition about the {name} | you can forget the {name} | the {name} is not needed
I don't care about the {name} any more | leave the {name} aside | the {name} can go | no need for the {name}
it does not have to have the {name} | the {name} is optional | without caring about the {name}
I was wrong about the {name}, forget it | disregard the {name} | the {name} doesn't have to be there
I no longer want the {name}
""")

#: What may stand before a restart.
RESTART_OPENERS = phrases("""
no wait | wait | hang on | hold on | okay | right | well | hm | actually | you know what | sorry | alright | no
no no | oh | nah | stop | fine | oh well | listen | good | enough | wait a second | hold on a moment | um
""")
#: A new search in one clause, or with what goes behind the new wish.
RESTART_FRAMES = phrases("""
instead of all that {q} | instead of everything so far: {q} | rather than all of this, {q}
in place of all that {q} | forget the rest, {q} | forget the lot and find {q} | leave that and look for {q}
drop all of it and show me {q} | let's switch to {q} | let's turn to {q} | let's move on to {q}
a new search for {q} | new search for {q} | begin a new search with {q} | begin anew with {q} | start afresh with {q}
start again with {q} | start over with {q} | restart with {q} | now search for {q} instead of all that
now for something else: {q} | next thing: {q} | next up: {q} | next one to find: {q} | the next picture is {q}
my next picture: {q} | another picture I need: {q} | another job: {q} | now a different one: {q}
I'm now looking for another picture: {q} | I have a different picture in mind: {q}
{q} - forget all I said before | {q}, and forget what I said before | {q}; everything before is void
{q}. Forget the rest | {q}. Ignore all of the above | {q}, a new search | {q} - as a new search
""")
RESTARTS = phrases("""
let's start afresh | start afresh | begin afresh | let us begin afresh | take it from the top | back to zero
let's go back to zero | scrap everything | scrap it all | bin all that
bin everything | toss everything | toss it all | ditch all that | ditch everything so far | throw it all out
discard everything | discard what I said | erase all of it | dump all that | leave all that | that was all wrong
I want to search for something different | I need something else entirely | let's do another one
different subject | change of topic | change of plan | change of subject | new target | new subject | new picture
here's a different one | I've changed my mind completely | totally different thing | new round | another round
next round | different question | that search is over | done with that | I'm done with this one
this is going nowhere | this leads nowhere | that didn't work, afresh | let's try something new
something completely new | I'd like to start over | can we start over | could we begin again | may I start over
we start again | we start from nothing | start from nothing | start from the beginning | begin at the beginning
from scratch again | everything new | everything anew | all anew | once more from the start | one more time from the top
void all that | cancel it all | cancel everything | cancel the search | cancel that search | undo everything
undo it all | wipe that | wipe it all | clear what I said | clear my wishes | delete my wishes | empty the request
none of that any more | none of this counts any more | forget my wishes | forget what I said | forget what I wanted
let's drop this one | let's drop it all | drop this search | drop the search | leave this search | leave it, new one
new attempt please | a fresh attempt | fresh try | new start please | okay, something new | other idea
different plan | new plan | let me begin with another | turn over a new leaf | all that is done, something new
new idea | whole new idea | completely different now | now something completely different
let's try again with another
I'd like to begin with something new | blank page | back to square one | from zero | wipe everything
wipe the slate | delete everything I said | drop everything so far | ignore everything so far | let's restart
restart please | other topic | let us search for another picture | for a different picture | next picture
next search | that's done, now another | a new picture now | now I need another picture
I give up on that one
we begin anew | let's go again from the top | from the top | all wrong, from the beginning | clear the request
new topic | back to the start | from the beginning | all over again | forget all of it | forget all that
let's begin anew | a new one | another picture now | now for another picture | throw all that away
never mind all that | let's look for something else | I want something else | different picture
different search | fresh start | clear it all | forget that | forget it all | something else | new search
start again | start over | let us start over | forget everything | all new | scrap all that
now something different | clear everything | begin again | another search | let me try something else
reset
""")
