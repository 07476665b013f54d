"""Wordings of dialogue acts as people type them in a chat, for a head over a sentence encoder that knows the words.

Slots: {x} a thing with its article, {bare} without it, {kind} its kind, {colour}, {other} another thing, {place}.
"""

from __future__ import annotations

from collections.abc import Mapping

from imagescope_agent.dialogue_acts import Act
from imagescope_agent.lab.scenes.dialog.phrases import phrases

SKIPS = phrases("""
not the slightest | ain't got a clue | haven't got the faintest | I haven't the remotest idea
don't have the first idea | I've got nothing | got nothing for you there | you've got me there | you got me
that has me beat | that beats me hollow | I'm drawing a complete blank | my mind's gone blank | total blank
brain fog, sorry | it's gone | it's gone clean out of my head | it's on the tip of my tongue
can't for the life of me remember | can't quite place it | I can't pin that down | can't put a name to it
can't bring it to mind | it won't come to me | the memory's gone | that's lost on me | it's all a blur
it's a bit hazy | a bit fuzzy on that | too long ago | I was too far away to see | didn't catch that detail
I'd have to look it up | I'd have to check | I'd need to check that | let me not guess | wouldn't want to guess
I'd only be making it up | wouldn't know | wouldn't have a clue | couldn't tell ya | couldn't begin to tell you
dunno really | dunno lol | idk lol | idk sorry | idk man | no idea tbh | tbh no clue | nfi
¯\\_(ツ)_/¯ | shrug | *shrugs* | meh, no idea | iono | dont no | dnt know | i dont rember | no ide | cant remeber
not shure | how would i know | how on earth should I know | god knows | goodness knows | heaven knows | lord knows
who can say | anyone's guess | it's anybody's guess | search me, mate | don't look at me | don't ask me
you're asking the wrong person | not my department | above my pay grade | hard to tell | it's hard to be sure
I wouldn't swear to it | I couldn't swear to anything | I'm none the wiser | I'm in the dark about that | I'm lost
I don't follow | I don't get the question | what do you mean by that | that question makes no sense to me
doesn't bother me either way | no skin off my nose | it's all one to me | six of one and half a dozen of the other
same difference | I'm not particular | I'm not picky | not picky | not too fussed about that
I'm not bothered about that | couldn't care either way | who cares | as if I cared | it's neither here nor there to me
what does it matter | it's not a big deal | no big deal | doesn't make much difference | that's by the by
that's not what matters here | whichever you fancy | whatever you reckon | whatever you think best
whatever floats your boat | dealer's choice | your call | your choice | I'll let you choose | I leave it with you
I trust your judgement | go with your gut | any will do | any old one | either's fine by me | both work for me
they're all good | all good with me | I have no strong view | no view on that | no particular wish | sort of | kind of
kinda | sorta | more or less | up to a point | yes and no | it's a toss-up | touch and go | could be, could not be
maybe so | perhaps so, perhaps not | may or may not be | I suppose, not sure | possibly but don't quote me
I'm on the fence | hmm, tricky | tricky one | that's a hard one | that's a toughie | ooh, hard to say
ooh, good question | let me get back to you on that | ask me later | not now | let's leave that for now
let's park that | park that one | leave it for later | let it be | let's not go there | I'd prefer not to answer
I'd sooner not say | rather not answer that | can we skip this | can I skip that | may I pass | I'll pass
pass on this one | hard pass | next q pls | nxt question | move along | ask me a different one | got another question?
other question please | skip the question | skip to the next question | that question I'll leave | leave the question
never mind the question | forget your question | I won't answer that | don't feel like answering | stop quizzing me
enough questions | no more questions please | you ask too much | it was something or other, never mind
I thought I knew but no | I used to know | if only I knew | I honestly couldn't tell you | I never took note of it
didn't take any notice | wasn't paying attention | I barely looked | only glanced at it | wasn't looking at that
nothing occurs to me | I can't think of anything | can't think of any more | that's all I know | that's all I remember
no recollection whatsoever | zero memory of that | I've clean forgotten | slipped away from me | eludes me
that eludes me | that's a mystery to me | doesn't sound familiar | that means nothing to me | not that I'm aware
not that I recall | I'm blanking
""")

MORES = phrases("""
gimme more | moar | mor pls | more pls | more plz | show moer | nxt | next pls | keep 'em coming | keep going mate
some extra ones please | any extras? | anything further | anything more? | anything more you have
anything else in there? | what else you got | whatcha got next | what have you got beyond that
have a look further down | look further down the list | there must be others | there has to be more
surely there are more | is there any more where that came from | are those the only ones | are these the only hits
only these? | just these? | nothing else? | is this everything | that all you've got? | that can't be all
show the lot | let me browse on | let me scroll on | let me flick through more | let's see the next lot
let's see some others | let's have some more | let's have the next lot | on to the next ones | on with the next
and after these? | and then? what's next in line | what remains | what remains to be seen | show what remains
what's remaining | what's further down | the leftovers please | the remainder please | second page | page 2
page 3 please | go to page 2 | next ten | next 10 | give me another 10 | ten others | a dozen more | double the results
widen the list | a longer list please | longer list | show further matches | other matches | further matches please
more hits | other hits | more candidates | further candidates please | some different candidates | alternatives?
any alternative ones | something similar but others | more of those | more of this kind | more like that
more along those lines | another handful | a handful more | a second helping | again, with other pictures
others, please | other pics | more pics pls | next pics | show next | proceed to the next | forward | fetch more
pull up more | bring up others | dig up some more | roll the next ones | none of them, next | not any of these, go on
no luck, next ones | it's not among these, more please | mine isn't there, show others
haven't spotted it yet, continue | not found yet, go further
""")

RESTARTS = phrases("""
start over | let's start over again | start from square one | back to the drawing board
let's go back to the drawing board | do over | do-over | redo from the start | reset everything | reset please
hard reset | full reset | reset the search | restart the search | restart it | new search | new search please
a brand new search | brand new search | completely new search | entirely new search | different search altogether
new query | fresh query | fresh search | fresh page | a fresh page please | tabula rasa | wipe the board
wipe the board clean | clear the board | clear the decks | clear all | clear the lot | delete all that | delete the lot
erase everything I told you | erase what I said | forget all that | forget all that stuff
forget everything I told you | forget all I've told you | forget all of what I said so far | forget the whole thing
forget the lot | forget about all that | forget about everything before | ignore all that | ignore everything I've said
ignore what I've told you up to now | disregard everything | disregard all of the above | scratch all of that
scratch everything | scratch the lot | scrap the lot | scrap that whole idea | bin the lot | bin it all | chuck it all
chuck everything | chuck the whole thing | chuck all that away | toss all of that | throw the whole lot out
throw everything out | throw away all I said | get rid of everything so far | get rid of all that
drop the whole thing | drop all of that | cancel the lot | cancel all that | void everything
none of what I said holds | all of it was wrong | everything I said was wrong | everything so far was rubbish
it was all rubbish | all of that was nonsense | I got everything wrong | I had the wrong picture in mind
I was thinking of a different picture | that was a different picture altogether | wrong picture entirely
I was after another picture | I'm looking for something else now | I'm after something quite different
let's hunt for another one | let's find a different one | let's look for a different picture entirely
let's search for something else altogether | on to something else | on to the next search
moving on to another picture | now something else entirely | now for something quite different
something else altogether | a totally different thing now | quite another thing | whole new picture
a whole new picture | a different kettle of fish | another idea altogether | completely different idea
new idea altogether | different approach | another approach | new approach please | take two | round two | second try
second attempt | one more try from the start | let me try again from the start | let me try that again from scratch
let me start again | let me begin again | let me start from scratch | let me put it all differently
let me say it all anew | let me describe it all again | let me reword the whole thing | I'd like to reword everything
can we begin from the beginning | can we start from scratch | could we reset | can I start again
can we do this again from zero | from zero please | starting over | starting from scratch | starting afresh
begin from scratch | all change | about turn | change of direction | change of mind, all of it
I've changed my mind about everything | I changed my mind on all of it | strt over | statr again | new serach
forgt all that | forget evrything | resett | start agian pls | scratch evrything | we're done with that one
I'm finished with that picture | that one's done, on to another | that search is finished | enough of that picture
okay new one | ok next picture to find | next thing to look for | here comes another one | I have another one for you
got another one for you | instead of all this, {x} | forget everything, now {x} | bin the whole lot and find {x}
throw all this away and show me {x} | toss that picture and look for {x} | chuck the lot and get me {x}
scrap this one and find {x} | drop this search and look for {x} | start over with {x} | fresh search for {x}
new search: {x} | let's look for {x} instead of all that | forget the picture so far, find {x}
wipe it all and search {x} | leave this picture and find {x} | give up on this one and find {x} | a new one: {x}
reset, {x} | toss that picture | bin that picture | ditch that picture | forget that picture | throw that picture away
drop that picture | leave that picture | ditch that search | bin that search | never mind that search
scrap that picture | dump this one | chuck this search | bin this one, next search
""")

WITHDRAWALS = phrases("""
bin that {kind} | ditch the {kind} | ditch that {kind} | chuck the {kind} | chuck out the {kind} | toss the {kind}
scratch the {kind} bit | lose the {kind} | lose that {kind} | dump the {kind} | axe the {kind} | nix the {kind}
can the {kind} | delete the {kind} | delete that {kind} | erase the {kind} | remove the {kind} from the description
remove the {kind} again | cut the {kind} | cut the bit about the {kind} | drop the {kind} again | drop the {kind} pls
drop teh {kind} | forget teh {kind} | nvm the {kind} | nm the {kind} | nvm about the {kind}
never mind that {kind} of mine | forget I said {bare} | forget I said anything about the {kind}
forget what I told you about the {kind} | forget about there being {x} | forget about {x}
ignore what I said about the {kind} | ignore the {kind} part | the {kind} part was wrong, ignore it
the {kind} part was invented | I invented the {kind} | I dreamt up the {kind}
the {kind} was a figment of my imagination | the {kind} was never there | there was no {kind} after all, I think
the {kind} didn't exist | I only thought there was {x} | I take the {kind} back | I take that {kind} back
we can do without the {kind} | we don't need the {kind} after all | the {kind} I can do without
I can happily live without the {kind} | I don't need {x} any more | no longer want the {kind} | the {kind}'s not needed
the {kind}'s no longer wanted | the {kind} is no longer important | the {kind} can stay away | the {kind} may stay away
the {kind} can stay out | the {kind} doesn't need to be there | the {kind} doesn't have to appear
it doesn't have to show {x} | no {kind} needed | no need for {x} after all | {kind}? not any more
{kind}? nah, leave it | the {kind}, forget it | the {kind}, drop it | the {kind} was a mistake, remove it
the {kind} was silly, delete it | the {kind} was a bad call, undo it | that {kind} business, forget it
all that about the {kind} is off | the {kind} idea is off | call off the {kind} | cancel the {kind} thing
undo that {kind} thing | {place}? forget about that | the bit about it being {place} was wrong, ignore it
it needn't be {place} | it doesn't have to be {place} | never mind {place} | drop the {place} part
not necessarily {place} | forget the place | drop the setting | any colour for the {kind} will do now
drop the {colour} part | forget the colour | never mind its size | forget the size | the colour doesn't matter any more
undo that | undo the last bit | undo my last message | take that last one back | I take that back
take back the last thing | scratch that last one | scratch my last wish | forget the last thing I said
forget what I just said | ignore my last message | not that last bit, remove it
""")

CORRECTIONS = phrases("""
swap out the {kind} for {other} | exchange the {kind} for {other} | change the {kind} into {other}
replace the {kind} by {other} | turn the {kind} into {other} | not {x} but {other}
{other} instead of {x} | {other} rather than {x} | I'd rather have {other} than {x}
instead of the {kind} I want {other} | put {other} where the {kind} was | it wasn't {x}, it was {other}
it wasn't {x} at all, it was {other} | no wait, it was {other} | wait no, {other} | hang on, it was {other}
hold up, {other} | make it {other} | correction, {other} | *{other} | typo, I meant {other} | sry, {other}
sry i meant {other} | oops i mean {other} | my bad, {other} | whoops, {other} | d'oh, {other} | err I mean {other}
I got that wrong, {other} | I mixed them up, {other} | I mixed up the colours | I got the colour wrong
I got the place wrong | I got it the wrong way round | I said {x} but it's {other} | did I say {bare}? I meant {other}
what I called {x} was {other} | looking at it again, it's {other} | I stand corrected, {other}
the {kind} isn't {colour} | the {kind} should rather be {colour} | the {kind} has to be {colour} not anything else
the {kind} was {colour}, silly me | the {kind} was {colour}, obviously | {colour}! not what I said
{colour} for the {kind}, not the other colour | the colour was off: {colour} | the setting was off: {place}
it was {place}, not what I said | I said one thing and meant another: {place} | make the {kind} {colour} instead
change the {kind}'s colour to {colour} | keep the {kind} but {colour} | same {kind} but {colour}
only the colour is wrong, {colour} please | two of them, not one | one, not two | three, I miscounted
there were more of them, four
""")

WISHES = phrases("""
chuck in {x} | toss in {x} | pop {x} in | bung {x} in | whack {x} in there | slap {x} in | bang {x} in | add {x} pls
add {x} plz | plus {x} | + {x} | and {x} aswell | {x} aswell | {x} 2 | w/ {x} | with {x} innit | smth with {x}
sth like {x} | pic of {x} | pic w {x} | any pics of {x} | lookin for {x} | lf {x} | need {x} | i want {x}
i wanna see {x} | gimme {x} | get me {x} | find {x} | show me {x} | show {x} | there's this {bare} | I remember {x}
I seem to recall {x} | I vaguely remember {x} | I could swear there was {x} | I think there was {x}
if memory serves there was {x} | pretty sure I saw {x} | didn't it have {x} | wasn't there {x} | wasn't there {x} too?
isn't there {x} in it | there ought to be {x} | {x} would be lovely | {x} would be ace | {x} would be perfect
{x} would be cool | {x} would do nicely | {x} wouldn't go amiss | how about {x} | what about {x} | maybe {x}?
perhaps {x} | {x}, maybe? | could I get {x} | any chance of {x} | is there by chance {x} | would {x} be possible
can it have {x} | {x} sat there | {x} sat under it | {x} lay next to it | {x} stood behind | {x} was parked there
{x} drove by | {x} drifted past | {x} hung above | a second one: {x} | one more thing, {x} | one more: {x}
and a couple of {kind}s | two {kind}s | three {kind}s | lots of {kind}s | the {kind} is {colour}
the {kind} was {colour} | that {kind} is {colour} btw | it's {colour} | it was a {colour} one
a tiny one | rather small | pretty big | a huge one, the {kind} | the {kind} is tiny | the {kind} was massive
make the {kind} big | its colour is {colour} | {place} | all {place} | it's {place} | it was {place}
somewhere {place} | taken {place} | set {place} | the whole thing {place} | {place} btw | {place}, I believe
snow everywhere | sand all around | waves in the background | the sun was going down | it was dark | it was pitch black
late in the evening | with dunes around it | in broad daylight | on the shore | on a lawn | in the wild
grass all over | the moon was out | a starry sky | freezing cold, all white | no {kind}s | no {kind}s please
minus the {kind}s | without {x} | not a single {kind} | never any {kind}s | stay away from {kind}s | avoid {kind}s
anything but {kind}s | {kind}s are banned | I hate {kind}s | I can't bear {kind}s | I don't want {x}
don't want {x} in it | there mustn't be {x} | there wasn't {x} | there must not be any {kind}s | {kind}s would spoil it
{x} would spoil it | not with {x} | {kind}s? no thanks | {kind}s? never | ban {kind}s | exclude {kind}s
okay, {x} is allowed after all | {x} is fine now | alright then, {x} | fine, {x} may be there | I do want {x} after all
let's have {x} after all | {bare} | {x} | {bare}! | {bare} and {other} | {x}, {other} | {x} next to {other}
{x} above {other} | {x} to the left of {other} | {x} under {other} | but {x} was there | but the {kind} is {colour}
but there was {x} | then {x} | {x} for sure | definitely {x} | must have {x} | {x} is a must | it had {x}
""")

ASIDES = phrases("""
ta | ta mate | ta love | cheers mate | cheers for this | cheers buddy | thx a lot | thx m8 | tysm | tyvm | ty | ty!!
tnx | thnx | thanks a million | thanks a ton | thanks heaps | thanks ever so much | thanks so much | much obliged
you're a lifesaver | you're too kind | how kind of you | how nice of you | bless you | you're a gem | what a gem
legend | you legend | absolute legend | hats off | kudos | props | respect, mate | fair play | no worries | no bother
no problem at all | no prob | np | nw | that's alright | that's okay | all good | all good here | sounds good
fair enough | fair dos | okey dokey | okie | kk | k | roger | roger that | copy that | gotcha | got ya | noted
right you are | righto | righty-ho | very well | so be it | lol | lol good one | lmao | rofl | haha nice | hehe nice
nice lol | omg | omg nice | wow that's fast | blimey | crikey | good heavens | good gracious | my goodness
gosh that was fast | that was speedy | that was fast | well that was quick | bloody hell | holy moly | whoa nice | neat
sweet | sick | dope | ace | top | tops | top notch | lush | smashing | splendid | fab | fabulous | wonderful | wicked
magic | grand | great stuff | good work | nice work | lovely stuff | well done you | you nailed it | spot on | bang on
that's the spirit | good going | keep up the good work | not bad at all | so pretty | how cute | aww | aw cute
that's a pity | what a bummer | bummer | shame | oh no | oh man | oh boy | damn | darn | argh | grr | bah | tsk
sigh... | yikes | eek | oof | phew, finally | sorry for the trouble | sorry about that | apologies | excuse me | pardon
oh sorry | give me a mo | bear with me | hang on a sec | one sec | sec | brb | afk | back now | hiya | hi there | heya
howdy | yo | sup | what's up | g'day | morning | evening all | good day | ciao for now | cya | ttyl | take care
night night | later | how's life | how's it going | how are things | how do you do | are you a bot | are you real
who built you | who programmed you | which company made you | what's your name | what language do you speak
do you know Elvish | can you sing | tell us a joke | heard any good ones | say something funny | what's for dinner
where's the nearest pub | when does the bank open | when do the supermarkets shut | what time is the match
who's playing tonight | did you watch the game | who won last night | will it be sunny tomorrow
is it raining where you are | what's the traffic like | how do I get to the airport | book me a hotel
reserve a table for me | order me a cab | call me a taxi | set a reminder for noon | start a stopwatch | wake me at six
play a song | what's the capital of Peru | how many feet in a mile | what's 12 times 12 | who wrote Macbeth
what's the best curry house | recommend a restaurant | is bitcoin up | how's the stock market | what's the news today
who's the prime minister | do my homework | write an essay for me | translate this for me | my boss is coming
the kettle's on | I'm having tea | I need a break | I need a coffee | I'm knackered | I'm off to bed | my phone's dying
it's late here | that helps | that's helpful | this helps a lot | very useful | good to know | I see what you mean
makes sense to me | interesting stuff | how clever | this is fun | I like this | love it | love this | loving it
looking good | getting warmer | we're getting there | nearly there | almost there | close | getting closer | not quite
hmm not quite | hmm okay | let me look | let me have a look | I'm looking | still looking | thinking
let me think a moment
""")

AFFIRMATIONS = phrases("""
correct | that's correct | exactly | exactly so | precisely | indeed | indeed it does | sure thing | of course
of course it does | naturally | certainly | definitely | definitely yes | for sure | you bet | you betcha | aye | yea
ye | yh | yess | yeh | yuh | yass | uh huh | mm-hmm | mhm yes | true | that's true | right | that's right | it does
it did | it is | it was | there is | there was | there were | I think so | I believe so | I guess so | I'd say so
I'd say yes | probably yes | most likely | I'm positive | positively | without a doubt | no doubt | by all means
yes indeed | yes it does | yes there is | oh yes | why yes | sí, I mean yes | yes I remember that
""")

DENIALS = phrases("""
not at all | certainly not | definitely not | absolutely not | of course not | no way | no chance | not a chance
not really | not as such | never | nah mate | naw | nay | nuh uh | uh uh | nope, it doesn't | it doesn't | it didn't
it isn't | it wasn't | there isn't | there wasn't | there weren't any | there aren't any | none | none at all
none of that | not there | I don't think so | I doubt it | I'd say no | probably not | most likely not | unlikely
hardly | false | that's wrong | that's not right | incorrect | wrong | by no means | under no circumstances
oh no it doesn't | no it doesn't | no there isn't | no such thing | nothing of the sort | nothing like that
not that one
""")

UNCLEAR = phrases("""
asdf | asdfgh | asdf jkl | qwertz | qwer tyui | hjkl hjkl | sdfsdf | lkjhg | zzzz | xxxxxx | aaaaaa | jjjj kkk
bla bla bla | blah | yada yada | dum di dum | tra la la | foo bar baz | wibble wobble | hocus pocus | abracadabra
flib flob | snorgle | grumpf | mimble wimble | zonk | plip plop | wubba lubba | skrrt skrrt | bzzzz | rrrr | 123 123
42 | 0 0 0 | 7 | 1 2 3 4 | ??? | !!! | ... | -- | #### | @@ | :-) :-( | xyz | abc abc | q w e r t y | vbnm
kjsdhf ksjdhf | fghfgh tyutyu | pqpq zmzm | wrlp | the of and to | purple monkey dishwasher sideways Tuesday
colorless ideas sleep furiously | fish because seven | lamp of of the | is is is | mmmm nnnn | grmbl grmbl
ich weiß es nicht | weiß nicht | keine Ahnung, ehrlich | egal | ist mir egal | nächste Frage | mehr bitte
zeig mir mehr | ein rotes Auto | ein Hund am Strand | danke schön | guten Tag | noch eins bitte | ohne Baum
das Haus ist blau | ich suche ein Boot | wo ist der Bahnhof | wie geht es dir | das war schön | und eine Katze bitte
je ne sais pas | aucune idée | je m'en fiche | encore s'il te plaît | un chat noir | une maison bleue
je veux un bateau | merci beaucoup | bonjour | ça m'est égal | quelle heure est-il | c'est joli | je cherche un arbre
pas de voiture | no lo sé | ni idea | me da igual | más por favor | un coche rojo | busco un barco | una casa blanca
muchas gracias | hola qué tal | no recuerdo | qué hora es | quiero un gato | non lo so | boh | non mi ricordo
ancora per favore | una macchina rossa | cerco un albero | vorrei un gatto | grazie mille | che ore sono | non importa
não sei | tanto faz | mais por favor | um barco azul | obrigado | ik weet het niet | geen idee | nog meer graag
een rode auto | dank je wel | maakt niet uit | jag vet inte | ingen aning | mer tack | en röd bil | tack så mycket
jeg ved det ikke | nie wiem | nie pamiętam | dziękuję | czerwony samochód | nevím | děkuji | bilmiyorum | teşekkürler
я не знаю | не помню | спасибо | красная машина | ещё пожалуйста | не важно
不知道 | 谢谢 | 一辆红色的车 | わかりません | ありがとう | 赤い車
모르겠어요 | لا أعرف | δεν ξέρω | ευχαριστώ
""")

#: The wordings of each act; those of an answer are taught with a question of yes or no.
WORDINGS: Mapping[Act, tuple[str, ...]] = {
    "answer": (*AFFIRMATIONS, *DENIALS),
    "wish": WISHES,
    "correction": CORRECTIONS,
    "withdrawal": WITHDRAWALS,
    "skip": SKIPS,
    "more": MORES,
    "aside": ASIDES,
    "unclear": UNCLEAR,
    "restart": RESTARTS,
}
