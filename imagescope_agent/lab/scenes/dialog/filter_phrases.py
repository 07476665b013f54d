"""Phrases of messages that limit a search by fields of images; {t} a time, {v} a value, {f} the name of a field.

Slots as in `phrases`; a phrase of `DATES` goes with an operator of `date_messages`.
"""

from __future__ import annotations

from imagescope_agent.lab.scenes.dialog.phrases import phrases

IN_TIME = phrases("""
only from {t} | just from {t} | only those from {t} | only the ones from {t} | just the ones from {t}
only pictures from {t} | only photos from {t} | only images of {t} | nothing but {t} | only what is from {t}
limit it to {t} | limit this to {t} | restrict it to {t} | restrict the search to {t} | narrow it down to {t}
keep to {t} | stick to {t} | stay within {t} | taken {t} | shot {t} | taken in {t} | shot in {t} | from {t} only
from {t}, nothing else | {t} only | only {t} | photos taken {t} | those taken {t} please | only those I took {t}
the ones I took {t} | I took it {t} | I took that one {t} | it was taken {t} | it was shot {t}
it dates from {t}
it is from {t} | dated {t} | with a date in {t} | the date is {t} | date: {t} | it must be from {t}
it should be from {t} | it has to be from {t} | must have been taken {t} | that was {t}, only show these
look at {t} only | look only at {t} | search only {t} | search in {t} | search {t} only | show only {t}
show only those from {t} | show me only the ones of {t} | show just {t} | I only want {t}
I only want those from {t}
I only need pictures of {t} | I mean the ones from {t} | I am only interested in {t}
the rest of the years do not count, {t}
filter by {t} | filter for {t} | only with a date of {t} | let it be from {t} | pictures of {t}, no others
none but those of {t} | exclusively from {t} | solely those from {t} | but only from {t} | and only from {t}
and taken {t} | if it was taken {t} | provided it is from {t} | as long as it is from {t} | recorded {t}
created {t} | made {t} | captured {t} | it was photographed {t}, others are not needed | leave only {t}
can you limit that to {t} | could you only show {t} | can we look at {t} only | please just {t}
everything that is not from {t} can go | drop what is not from {t} | throw out what was not taken {t}
""")
SINCE = phrases("""
since {t} | only since {t} | taken since {t} | from {t} on | from {t} onwards | starting {t} | starting in {t}
not before {t} | nothing before {t} | nothing older than {t} | no older than {t} | not older than {t}
newer than that of {t}, included | everything since {t} | only what was taken since {t} | all since {t}
beginning with {t} | as of {t} | {t} or later | {t} and later | {t} or newer | {t} at the earliest
only those since {t} | the ones since {t} | limit it to what came since {t} | from {t} up to now
from {t} until today
""")
AFTER = phrases("""
after {t} | only after {t} | taken after {t} | later than {t} | newer than {t} | more recent than {t}
only those after {t} | only pictures after {t} | it was after {t} | it was taken after {t} | shot after {t}
dated after {t} | nothing from {t} or before | only what came after {t} | past {t} only
""")
BEFORE = phrases("""
before {t} | only before {t} | taken before {t} | earlier than {t} | older than {t} | only those before {t}
only pictures before {t} | it was before {t} | it was taken before {t} | shot before {t} | dated before {t}
nothing from {t} or later | prior to {t} | only what came before {t} | nothing since {t} | not since {t}
""")
UNTIL = phrases("""
until {t} | up to {t} | till {t} | up until {t} | no later than {t} | not later than {t} | nothing after {t}
not after {t} | {t} or earlier | {t} at the latest | only until {t} | only those up to {t} | taken by {t}
""")
BETWEEN = phrases("""
between {t} and {u} | from {t} to {u} | only from {t} to {u} | only between {t} and {u}
taken between {t} and {u}
shot from {t} until {u} | {t} to {u} only | {t} until {u} | it was between {t} and {u} | dates from {t} to {u}
from {t} through {u} | limit it to {t} to {u} | anything from {t} till {u}
""")
NOT_IN_TIME = phrases("""
not from {t} | nothing from {t} | none from {t} | not the ones from {t} | leave out {t} | without those from {t}
no pictures from {t} | not taken {t} | skip those taken {t} | anything but {t} | all but those of {t}
""")
FOLDERS = phrases("""
only those in the {v} folder | only from the {v} folder | just the {v} folder | only the folder {v}
only the ones in {v} | look only in {v} | look in the {v} folder | look in the folder {v} | search in {v}
search the {v} folder only | search only the folder {v} | in the folder {v} | in the {v} folder | in folder {v}
inside the folder {v} | inside {v} only | it lies in {v} | it lies in the folder {v} | it is in the {v} folder
it's somewhere in the {v} folder | it should be in the {v} folder | it must be in folder {v}
it is stored in {v} | saved under {v} | filed under {v} | under {v} only | from the {v} directory
only the {v} directory | directory {v} | the directory {v}, please | folder: {v} | folder {v} | folder {v} only
the {v} folder | the {v} folder only | the folder is {v} | the folder is called {v} | stay in the {v} folder
stay within {v} | limit it to the {v} folder | limit the search to {v} | restrict it to {v}
restrict yourself to {v}
narrow it to the folder {v} | keep to the {v} folder | nothing outside {v} | nothing from outside the {v} folder
only what lies in {v} | only what is in the {v} folder | show only the {v} folder | show just what is in {v}
show those of the {v} folder | those in {v} | the ones in {v} | the ones in the {v} folder | I mean those in {v}
I put it in {v} | I saved it in the {v} folder | I only want those from {v} | I only mean the folder {v}
only {v} | just {v} | {v} only | only from {v} | just from {v} | {v} folder please | from {v}, nothing else
only my {v} pictures | only the {v} photos | only the {v} ones | among the {v} photos
among the pictures in {v}
go through {v} only | filter by folder {v} | filter on the folder {v} | filter for {v} | the album {v}
only the album {v} | from the album {v} | but only in {v} | and only from {v} | can you only search {v}
could you stay in the folder {v} | would you look in {v} only | please only in the {v} folder
""")
NOT_FOLDERS = phrases("""
not from {v} | not from the {v} folder | nothing from {v} | nothing from the {v} folder | not in {v}
not the {v} folder | without the {v} folder | leave out the folder {v} | leave the {v} folder out | skip {v}
skip the {v} folder | exclude the folder {v} | exclude {v} | ignore the {v} folder | all folders but {v}
anywhere but in {v} | everywhere except {v} | it is not in the {v} folder | it isn't in {v}
""")
CAMERAS = phrases("""
only with the {v} | taken with the {v} | taken with my {v} | taken with a {v} | shot with the {v}
shot on the {v}
shot with my {v} | shot on my {v} | only those shot with the {v} | only those from the {v}
only the ones from my {v}
only pictures of the {v} | only from my {v} | made with the {v} | I used the {v} | I used my {v}
I had the {v} with me
I took it with the {v} | I took it with my {v} | it was taken with the {v} | it was shot with the {v}
it comes from the {v} | the camera was the {v} | the camera was a {v} | the camera is {v} | camera: {v}
camera {v}
with the camera {v} | by camera {v} | limit it to the {v} | restrict it to the {v} | filter by camera {v}
nothing but the {v} | only the {v} | just the {v} | {v} only | {v} pictures only | only {v} photos
only photos of the {v} | photographed with the {v} | captured with the {v} | captured by the {v}
""")
NOT_CAMERAS = phrases("""
not with the {v} | not taken with the {v} | nothing from the {v} | not from my {v} | without those of the {v}
no {v} pictures | it wasn't the {v} | any camera but the {v} | leave out the {v} shots | skip what the {v} took
""")
OWN = phrases("""
only {f} {v} | only with {f} {v} | where the {f} is {v} | the {f} is {v} | the {f} should be {v}
the {f} must be {v}
the {f} was {v} | {f}: {v} | {f} is {v} | {f} = {v} | {f} {v} | {f} {v} only | with {f} {v}
only where {f} is {v}
only those whose {f} is {v} | only the ones with {f} {v} | only pictures with {f} {v} | those with the {f} {v}
limit it to {f} {v} | limit the {f} to {v} | restrict it to {f} {v} | filter by {f} {v} | filter for {f} {v}
I only want {f} {v} | I only need those with {f} {v} | show only {f} {v} | show just those of {f} {v}
only {v} | only from {v} | just {v} | just from {v} | only those of {v} | only those from {v}
only the ones by {v}
by {v} only | by {v} | only by {v} | those by {v} | from {v} only | only {v}'s | only {v}'s pictures
just {v}'s
only what {v} took | only what is by {v} | the ones by {v} | the ones from {v} | {v} only | {v}'s only
it belongs to {v} | it was {v}'s | it is one of {v}'s | it's by {v} | it is from {v} | it was {v} who took it
nothing but {v} | limit it to {v} | restrict it to {v} | restrict the search to {v} | keep to {v} | stick to {v}
search only {v} | search {v} only | look at {v} only | and only {v} | but only {v} | please just {v}
marked as {v} | marked {v} | labelled {v} | tagged {v} | tagged as {v} | with the tag {v}
only those tagged {v}
""")
NOT_OWN = phrases("""
not {f} {v} | {f} not {v} | the {f} is not {v} | the {f} isn't {v} | any {f} but {v} | without {f} {v}
not from {v} | not by {v} | nothing by {v} | nothing from {v} | none of {v}'s | not {v}'s | except those of {v}
leave out {v} | skip {v} | skip what is by {v} | without those by {v}
""")
EITHER = phrases("""
{v} or {w} | only {v} or {w} | only {v} and {w} | only from {v} and {w} | from {v} or from {w}
either {v} or {w}
just {v} and {w} | {f} {v} or {w} | the {f} is {v} or {w} | limit it to {v} and {w} | by {v} or {w}
""")
AT_LEAST = phrases("""
{f} at least {v} | at least {v} {f} | at least {f} {v} | {f} {v} or more | {v} {f} or more | {f} {v} or better
{v} or more {f} | {f} from {v} up | {f} not below {v} | no {f} below {v} | {f} >= {v} | a {f} of at least {v}
""")
MORE_THAN = phrases("""
{f} above {v} | more than {v} {f} | {f} over {v} | {f} more than {v} | {f} greater than {v} | {f} > {v}
over {v} {f}
a {f} above {v}
""")
LESS_THAN = phrases("""
{f} below {v} | less than {v} {f} | fewer than {v} {f} | {f} under {v} | {f} less than {v} | {f} < {v}
under {v} {f}
""")
TRUE = phrases("""
only {f} | only the {f} ones | only {f} ones | just the {f} ones | only those that are {f} | it is {f}
those marked {f}
{f} only | they must be {f} | filter for {f} | only pictures that are {f} | show only {f} | I only want {f} ones
""")
FALSE = phrases("""
not {f} | only those not {f} | not the {f} ones | no {f} ones | without the {f} ones | those that are not {f}
it is not {f} | nothing {f} | leave out the {f} ones
""")
LIFTED = phrases("""
all of them again | from any time and place again | any date is fine | any folder is fine | drop the filter
remove the filter | without the filter | lift the limit | no limit any more | never mind the limit
show all pictures again | search everything again | search all folders again | search everywhere
search everywhere again
look everywhere | not only those | not just those | the limit can go | take the filter off | no filter
clear the filter
forget the filter | forget about the date | forget about the folder | the date does not matter any more
the folder does not matter after all | from any year | from any folder | any camera will do
whenever it was taken
no matter when it was taken | no matter where it is stored | wherever it is stored | undo that filter
cancel the filter
open it up again to all pictures | include the other folders again | include the other years again
all years again
all dates again | all cameras again | by anybody | by anyone | whoever took it | the whole collection again
""")
LIFTED_FIELD = phrases("""
any {f} | any {f} is fine | any {f} again | all {f}s again | whatever {f} | no matter which {f}
the {f} does not matter
the {f} doesn't matter any more | forget the {f} | forget about the {f} | drop the {f} filter
remove the {f} filter
without the filter on {f} | the {f} is not important | every {f} again | don't filter by {f}
no {f} filter any more
""")
#: A wish with a limit behind it, and one before it.
BESIDE = phrases("""
{wish}, {limit} | {wish}, but {limit} | {wish}, and {limit} | {wish}; {limit} | {wish}. {limit}
{wish} - {limit}
{limit}: {wish} | {limit}, {wish} | {limit}. {wish} | {limit}, and {wish} | {wish} {limit}
""")
PLAIN_TIME = ("from {t}", "taken {t}", "shot {t}", "of {t}", "from {t}")
PLAIN_FOLDER = (
    "in the {v} folder",
    "from the {v} folder",
    "from the folder {v}",
    "in {v}",
    "from {v}",
    "out of {v}",
)
PLAIN_CAMERA = (
    "taken with the {v}",
    "shot with the {v}",
    "made with my {v}",
    "from the {v}",
    "shot on the {v}",
)
PLAIN_OWN = ("by {v}", "from {v}", "of {v}", "with {f} {v}", "whose {f} is {v}")
