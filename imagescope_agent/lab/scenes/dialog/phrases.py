"""Phrases of messages in a search conversation, by dialogue act; "{x}" and the like are filled in by `informing`.

Slots: {x} a noun phrase with its article, {bare} without it, {many} its plural, {place} a setting, {kind}, {colour} and
{old} (what was said before).
"""

from __future__ import annotations


def phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text, between bars or on lines of their own."""
    return tuple(each.strip() for line in text.strip().splitlines() for each in line.split("|"))


EXISTS = phrases("""
only {x} | only with {x} | only those with {x} | just those with {x} | only pictures with {x} | only ones with {x}
just {x} | nothing but {x} | only {many} | just {many} | only the ones that show {x} | only images of {x}
{x}! | {x}!! | {bare}! | {bare}!! | {bare}?? yes please | {bare} as extra | {bare} somewhere | some {bare}
one {bare} | {bare}
{bare} | {bare} | {bare} also | and {bare} | plus {bare} | then {bare} | {bare}, I think | er, {bare}
hm, {bare} | {bare} maybe
{x} joins it | {x} goes with it | {x} comes along | with it goes {x} | alongside goes {x}
there stands {x} | there lies {x}
there also was {x} once | might be that there was {x} | might well have been {x} | must have been {x} there
say, {x}
next to it stands {x} | behind it hides {x} | {x} was standing there | {x} stands there too
drop in {x} | work in {x} | mix in {x} | squeeze in {x} | I'd slip {x} in | then I'd like {x}
and finally {x} | lastly {x}
what's missing is {x} | missing: {x} | still missing: {x} | {x} is still missing | let there be {x}
let there be {x} as well
this time {x} too | one more: {x} | another object: {x} | {x} is what I recall | {x} is what I also saw
{x} I also recall
what I also recall is {x} | I'd not mind {x} | I wouldn't mind {x} | {x} wouldn't hurt | why not {x}
go on, {x}
I also see {x} | I can see {x} | I could see {x} | I noticed {x} | I recall {x} | I do recall {x}
in my memory there is {x} | I'm sure there was {x} | I am quite sure about {x} | there might be {x}
there may be {x} | there may have been {x} | there could have been {x} | possibly {x} | possibly with {x}
probably {x} | most likely {x} | surely {x} | it might show {x} | it might have had {x}
it could contain {x} | it contained {x} | it featured {x} | featuring {x} | containing {x} | including {x}
showing {x} | that shows {x} | which has {x} | where there is {x} | in which there is {x}
where you find {x} | together with {x} | along with {x} | accompanied by {x} | alongside {x}
as well as {x} | additionally {x} | in addition {x} | besides, {x} | moreover {x} | and then {x}
then there is {x} | another thing is {x} | also needed: {x} | required: {x} | wanted: {x} | I wish for {x}
I wish there were {x} | hoping for {x} | I am hoping to see {x} | I'd be glad about {x}
I would appreciate {x} | I'd enjoy {x} | I could use {x} | I'd go for {x} | I'll take {x} | I would take {x}
I pick {x} | I vote for {x} | I was looking for {x} | we are looking for {x} | we want {x} | he wants {x}
my client wants {x} | my daughter wants {x} | somebody put {x} there | can you find {x} | can you show {x}
could you find one with {x} | could you put {x} there | could it have {x} | could we see {x}
would you add {x} | may I have {x} | may there be {x} | is there one with {x} | are there any with {x}
do you have any with {x} | have you got one with {x} | got any with {x} | any with {x}?
make sure there is {x} | make sure it has {x} | see to it that there is {x} | do not forget {x}
keep in mind {x} | consider {x} | think of {x} | imagine {x} | draw me {x} | place {x} somewhere
insert {x} | append {x} | drop in {x} | squeeze in {x} | fit {x} in | work {x} in | there stands {x}
there sits {x} | there lies {x} | on the side {x} | in one corner {x} | in the middle {x} | at the edge {x}
far off {x} | close by {x} | right there {x} | over there {x} | behind it all {x} | in front {x}
visible should be {x} | the thing is {x} | it is about {x} | the subject is {x} | the main thing is {x}
what matters is {x} | important: {x} | essential is {x} | {x} is essential | {x} is a must | {x} is needed
{x} is wanted | {x} is there too | {x} was there | {x} was in it | {x} appears in it | {x} can be seen
{x} should be visible | {x} has to be there | {x} needs to be there | {x} if you have it
{x} if there is one | {x} is what I want | {x} is what I need | {x} also | {x}, too | {x} in addition
{x}, also that | {x} would help | {x} would do | {x} would be lovely | {x} would be good | {x} would fit
{x} sounds right | {x} comes to mind | {x} it is | {x} for me | {x} somewhere | {x} somewhere in it
{x} in the picture | {x} on the image | {bare} | {bare} please | {bare} too | {bare}, please | {bare} wanted
also {bare} | with {bare} | add {bare} | show {bare} | {bare} as well | {x} | also {x} | and {x} | with {x}
plus {x} | {x} as well | {x} too | there is {x} | there is also {x} | there was {x} | there must be {x}
there should be {x} | I want {x} | I want to see {x} | I would like {x} | I'd like to have {x} in it
I need {x} in the picture | add {x} | please add {x} | could you add {x} | can you add {x} to it
can we have {x} | can I also get {x} | it has {x} | it also has {x} | it should show {x}
it should have {x} | it must contain {x} | it needs {x} | it includes {x} | put {x} in it | put in {x}
show me {x} | show one with {x} | show me pictures with {x} | find me {x} | look for {x}
I am looking for {x} | I'm after {x} | maybe {x} | maybe with {x} | perhaps {x} | I think there was {x}
I think it had {x} | I guess there was {x} | I believe there is {x} | I remember {x}
I seem to remember {x} | if I remember right there was {x} | somewhere there is {x}
somewhere in it there is {x} | how about {x} | what about {x} | let us have {x} | let's add {x}
include {x} | give me {x} | ideally with {x} | preferably {x} | I reckon there is {x} | I'd say there is {x}
I'd love {x} | I fancy {x} | I am thinking of {x} | I have {x} in mind | it had {x} | what I want is {x}
my picture has {x} | the picture shows {x} | the photo had {x} | in the foreground {x}
in the background {x} | you should see {x} | we need {x} | throw in {x} | stick {x} in there | get me {x}
bring {x} | search for {x} | try {x} | try it with {x} | a picture of {x} | an image with {x}
a scene with {x} | pictures of {x} please | it needs to have {x} | it has to have {x} | {x} would be nice
{x} would be great | {x} is important | {x} must be there | {x} should be in it | {x} belongs in it
you can see {x} | one sees {x} | I saw {x} in it | one thing more: {x} | something with {x}
the one with {x} | and don't forget {x} | oh, and {x} | oh and there is {x} | ah yes, {x}
by the way, there is {x} | one more thing, {x} | next to that {x}
""")

ABSENT = phrases("""
{many} are off limits | {many} are taboo | {many} off | {many} stay out | {many} must stay outside
{many} stay away
{many} are ruled out | {many} have to stay out | {many} are a no | {many} are nothing for me
{many} mustn't be there
{many} mustn't turn up | {many} shouldn't turn up | {x} mustn't be seen | {x} shouldn't be seen
no room for {many}
save me from {many} | save me the {many} | don't bring me {many} | keep your {many}
I can't use {many} | what I don't want: {many} | what must not be there: {x} | what I'd leave out: {many}
{many}, no thank you | {many}? please not | {many}? anything but that | anything but {many} | {bare}? no way
it'd be wrong with {x} | nobody wants {many} | get me something with no {bare}
the fewer {many} the better, none at all
I'd hate {x} in it | I'd be sorry to see {x} | {x} is out of the question | {x} would ruin it | nil {many}
nix {many}
forbid {many} | prohibit {many} | scrap all {many} | weed out {many} | dump the ones with {x}
{many} are not wanted | {many} are unwanted | {many} are not welcome | {many} are forbidden
{many} are not allowed | {many} should be absent | {many} should not appear | {many} may not occur
{x} may not be visible | {x} should not be visible | {x} has no place in it | {many} have no business there
there cannot be {x} | there can't be any {many} | there couldn't have been {x} | there was never {x}
I never saw {x} | I saw no {bare} | I did not see {x} | I did not see any {many}
I don't remember any {many} | I can't see {x} in it | you will find no {bare} | it lacks {x}
it is missing {x} | it's without {x} | clear of {many} | devoid of {many} | rid it of {many}
drop everything that has {x} | throw out {many} | throw out those with {x} | filter out {many}
rule out {many} | cut the {many} | cut out {x} | kick out the {many} | down with {many}
away with the {bare} | off with the {bare} | out with the {many} | {x}? no | {x}? certainly not
{x}? rather not | {many}? no thanks | {many}? never | not with {x} | not with any {many} | but not with {x}
except those with {x} | everything except {many} | all but {many} | as long as there is no {bare}
so long as it has no {bare} | provided there is no {bare} | just no {bare} | only no {many}
absolutely no {many} | zero {many} | not any {many} | none with {x} | none of them with {x}
no kind of {bare} | no {bare} anywhere | no {many} around | no {bare} to be seen | no {bare} in sight
there is not one {bare} | I refuse {many} | I dislike {many} | I detest {many} | I am not looking for {x}
I'm not after {x} | I have no use for {x} | I have had enough of {many} | I'm tired of {many}
please get the {many} out | please hide {many} | stop showing {many} | don't show {many}
do not show me {x} | don't give me {many} | don't include {x} | never show {x} | you should omit {many}
omit {x} | erase the {bare} | eliminate {many} | discard everything with {x} | reject pictures with {x}
ignore pictures with {many} | it must be without {x} | must not have {x} | can't have {x}
cannot contain {x} | won't have {x} | should lack {x} | the {bare} should not be there
the {bare} has to go | the {bare} bothers me | the {many} are disturbing | I'd prefer no {bare}
I prefer it without {x} | better without {x} | better no {bare} | preferably no {many} | ideally without {x}
hopefully no {bare} | {x} would be wrong | {x} would spoil it | {x} is excluded | {many} excluded
{many} are excluded | {many} need to vanish | {many} shall not be in it | {many} have to disappear
make the {bare} disappear | make {many} disappear | let there be no {bare} | let it have no {many}
it goes without {x} | it works without {x} | minus {x} | show only those without {x} | I want none with {x}
I wouldn't want {x} | no more {many} | none of those {many} | sort out those with {x} | {many} ruin it
{bare}-free | the picture has no {bare} | far away from any {many} | keep away from {many}
keep it free of {many} | keep {many} away | leave {many} away | not {x} please
any picture but those with {x} | no sign of {x} | not a single {bare} | the {bare} must go
get rid of the {bare} | lose the {bare} | take the {bare} away | take away the {bare} | remove the {bare}
remove any {bare} | delete the {bare} | I'd rather not have {x} | can we do without {x}
{x} is what I do not want | hide those with {x} | nowhere {x} | never {x} | minus the {bare} | no {bare}
without {x} | there is no {bare} | but no {bare} | but without {x} | not {x} | there should be no {bare}
no {many} | there must not be {x} | there was no {bare} | it has no {bare} | I do not want {x}
I don't want {x} in it | I do not want any {many} | please no {bare} | please without {x} | leave out {many}
leave out any {bare} | no {many} please | no {many} at all | without any {many} | nothing with {x}
nothing with {many} | exclude {many} | skip everything with {x} | anything without {x} | free of {many}
there isn't {x} | there aren't any {many} | it should not have {x} | it shouldn't show {x}
it must not contain {x} | it doesn't have {x} | definitely no {bare} | certainly no {bare}
I am sure there was no {bare} | I hate {many}, none of them | avoid {many} | not one with {x}
no pictures with {x} | take out those with {x} | {many} must not be in it | {x} must not be there
""")

PLACES = phrases("""
{place}, mind you | {place}, by the look of it | the time is {place} | the hour: {place}
time of day: {place} | the light is {place}
everything sits {place} | the whole lot is {place} | all this was {place} | the {kind} lives {place}
the {kind} lies {place}
the {kind} waits {place} | you find the {kind} {place} | the {kind} can be found {place}
imagine it all {place}
as backdrop: {place} | where it was: {place} | for the setting: {place} | setting: {place}
{place} was where it was
I see it {place} | I imagine it {place} | something {place} | a scene {place} | the location is {place}
location: {place} | place: {place} | the background is {place} | the backdrop is {place} | we are {place}
this is {place} | that is {place} | this was {place} | they are all {place} | it's all {place}
it was shot {place} | it was taken {place} | taken {place} | photographed {place} | painted {place}
it plays out {place} | I remember that it was {place} | I'm sure it was {place} | I'd say {place}
I would say {place} | I think {place} | I guess {place} | probably {place} | possibly {place}
most likely {place} | definitely {place} | preferably {place} | ideally {place} | if possible {place}
everything {place} | all of it {place} | the things are {place} | they stand {place} | it stands {place}
you are {place} | let it be {place} | let it happen {place} | let's have it {place} | how about {place}
what about {place} | try {place} | show me some {place} | find me one {place} | find those {place}
look for one {place} | give me one {place} | must be {place} | should be {place} | has to be {place}
it needs to be {place} | it has to be {place} | it might be {place} | it may have been {place}
it could have been {place} | the {kind} is {place} | the {kind} was {place} | the {kind} stands {place}
I see the {kind} {place} | with the {kind} {place} | where? {place} | somewhere, I think {place}
the scene is {place} | somewhere {place} | I remember it being {place} | the setting is {place}
the photo was taken {place} | {place} would be nice | I fancy {place} | put it {place} | it plays {place}
with everything {place} | it looked {place} | as if {place} | {place} | it is {place} | it's {place}
{place} please | it was {place} | it should be {place} | make it {place} | I want it {place}
all that {place} | the whole thing is {place} | I think it was {place} | it must be {place}
the picture is {place} | set {place} | it happens {place} | it takes place {place} | only {place}
everything is {place} | and it is {place} | and {place} | also {place} | I'd like it {place}
one that is {place} | show those {place} | could it be {place} | maybe {place} | it would be {place}
""")

COUNTS = phrases("""
I see {n} | I saw {n} | I remember {n} | I'd say {n} | {n} in all | {n} altogether | there must be {n}
there could be {n} | {n}, no more | no more than {n} | show me {n} | {n} it is | all in all {n} | it had {n}
{n} | {n} please | there are {n} | there were {n} | I want {n} | exactly {n} | it shows {n} | it has {n}
I think there were {n} | it should have {n} | make it {n} | there should be {n} | with {n} | and {n}
I count {n}
""")

RELATIONS = phrases("""
{x} {side} {y} | there is {x} {side} {y} | with {x} {side} {y} | and {x} {side} {y} | I want {x} {side} {y}
put {x} {side} {y} | {x} is {side} {y} | the {bare} is {side} {y} | {x} should be {side} {y}
I think {x} was {side} {y}
""")

#: A colour and a size said after the thing.
TRAILING = phrases("""
{a_kind}, {colour} | {a_kind}, {a_colour} one | {a_kind}, and it is {colour} | {a_kind} in {colour}
{a_kind} that is {colour} | {a_kind} which is {colour} | {a_kind}, which was {colour}
{a_kind} coloured {colour} | {a_kind} of {colour} colour | {a_kind} painted {colour} | {a_kind} ({colour})
{a_kind}: {colour} | some {colour} {kind} | some kind of {colour} {kind} | one {colour} {kind}
my {colour} {kind} | the {colour} {kind} | that {colour} {kind} | {colour} {kind}
{a_colour}-coloured {kind} | {a_colour} kind of {kind} | {a_kind}, {colour} I think
""")
TRAILING_SIZED = phrases("""
{a_kind}, {size} and {colour} | {a_kind}, {colour} and {size} | {a_kind} that is {size} and {colour}
{a_size} and {colour} {kind} | {a_size}, {colour} {kind} | {a_colour} {size} {kind}
{a_kind}, {a_size} {colour} one | {a_colour} {kind}, {a_size} one | {a_colour} {kind}, and it is {size}
{a_size} {kind} in {colour} | {size} {colour} {kind} | {a_size} {kind} that is {colour}
{a_colour} {kind} which is {size} | some {size} {colour} {kind}
""")

YES = phrases("""
yes there was | yes, there was one | it did | it was | there was | yes it was | yes it had one | yes, it has
it has | sure, it does | yup | yes! | Yes | I am sure there is | I'm pretty sure, yes | I suppose so
I suppose there is | it might, yes | yes indeed | you bet | totally | that is correct | yes | yes. | yep
yeah | yes please | yes there is | yes, there is one | yes it does | yes it is | yes, I think so
I think so | I believe so | sure | sure is | of course | exactly | right | correct | that's right | indeed
definitely | absolutely | it does | it is | there is | there is one | it should | that would be good
yes, please | ok yes | oh yes | aye | certainly | probably yes | I'd say yes | yes, probably | true | y
affirmative
""")

NO = phrases("""
no there was not | no, there wasn't | it did not | it was not | there was none | no it had none
it has none | it hasn't | no! | No | no sir | I am sure there is not | I'm pretty sure not | I suppose not
no I don't believe so | I don't believe so | neither | none of that | no such thing | no | no. | nope | nah
no there is not | no, there isn't | no it does not | no it isn't | not really | I don't think so
I do not think so | definitely not | certainly not | of course not | it doesn't | it is not | there is none
there isn't one | none | no, none | no, not that | not at all | no way | I'd say no | no, I don't think so
probably not | false | n | negative | no, it doesn't | never | no, rather not
""")

HEDGED_ANSWERS = phrases("""
{v} | {v}. | {v} please | I think {v} | I think it was {v} | I guess {v} | I believe {v} | probably {v}
maybe {v} | perhaps {v} | {v} I think | {v} I guess | {v}, I believe | {v} if I remember right | it is {v}
it's {v} | it was {v} | it should be {v} | I'd say {v} | must have been {v} | if I remember correctly {v}
{v}, as far as I know | hm, {v} | well, {v} | oh, {v} | {v} for sure | {v}, definitely | the answer is {v}
{v}!
""")

#: Things that the drawn world lacks: a wish for them is understood as one, though no drawn picture has any.
STRANGERS = phrases(
    """
soldier|doctor|teacher|king|queen|dragon|ghost|robot|rocket|helicopter|tractor|truck|motorbike|skateboard
scooter|sailor|pirate|cactus|mushroom|grass|leaf|rose|tulip|sunflower|pumpkin|bread|cake|cheese|egg|spoon
fork|knife|plate|glass|bowl|basket|box|bag|backpack|suitcase|key|ring|crown|sword|drum|violin|trumpet
camera|television|radio|mirror|candle|lantern|flag|balloon|toy|doll|teddy|puzzle|pencil|pen|letter
newspaper|map|globe|desk|bed|sofa|carpet|curtain|shelf|stove|fridge|sink|bath|toilet|roof|chimney|wall
gate|garden|park|playground|market|shop|school|hospital|airport|station|harbour|pier|canal|waterfall|cave
cliff|valley|volcano|iceberg|storm|lightning|fog|shadow|reflection|crowd|couple|family|wedding|party
concert|parade|race|match|game|goal|penguin|owl|eagle|swan|goose|chicken|pig|goat|donkey|camel|giraffe
zebra|monkey|snake|turtle|frog|crab|whale|dolphin|shark|spider|bee|butterfly|ant|snail|mouse|squirrel|fox
wolf|deer|hedgehog|kangaroo|panda|tiger|leopard|crocodile|dinosaur|unicorn|dog|bicycle|horse|mountain
bridge|bird|child|woman|man|train|plane|bus|castle|church|river|lake|forest|road|street|chair|table|lamp
book|bottle|cup|pizza|apple|banana|guitar|piano|clock|phone|computer|ball|kite|tent|fence|cow|sheep
elephant|lion|bear|rabbit|duck|snowman|cloud|sun|moon|rainbow|lighthouse|island|ladder|bench|statue
fountain|tower|window|door|hat|coat|shoe|baby|dancer|farmer
"""
)
STRANGE_COLOURS = phrases(
    "pink|brown|grey|golden|silver|turquoise|striped|wooden|old|broken|round|bright|dark|shiny"
)
