"""Fields of made-up collections, and the times and values that messages name of them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.dialog.phrases import phrases
from imagescope_agent.lab.scenes.world import KINDS

FOLDER_NAMES = phrases("""
Lisbon|Paris|Oslo|Berlin|Kyoto|Prague|Vienna|Dublin|Madrid|Porto|Naples|Venice|Milan|Athens|Cairo|Lima|Quito|Tokyo
Boston|Denver|Austin|Seattle|Zurich|Geneva|Basel|Munich|Hamburg|Leipzig|Bruges|Ghent|Lyon|Nice|Marseille|Bergen|Malmo
Helsinki|Tallinn|Riga|Vilnius|Warsaw|Krakow|Budapest|Zagreb|Split|Sofia|Istanbul|Beirut|Delhi|Mumbai|Goa|Hanoi|Seoul
Osaka|Sydney|Perth|Auckland|Norway|Iceland|Italy|Spain|Greece|Croatia|Japan|Peru|Chile|Morocco|Kenya|Scotland|Wales
holiday|holidays|vacation|birthday|wedding|graduation|party|garden|work|office|family|kids|school|sports|concert
hiking|skiing|camping|roadtrip|weekend|archive|backup|inbox|sorted|unsorted|scans|screenshots|prints|drafts|final
raw|edited|export|best|selected|new|old|misc|phone|drone|studio|events|travel|nature|city|people|animals|food
winter_trip|summer_camp|new_house|grandma|project_a|client-x|IMG_2021|trip-03|set1|set2|batch_7|day1|day2|2019|2020
""")
CAMERA_NAMES = phrases("""
Canon EOS R6|Canon EOS 80D|Canon PowerShot G7|Nikon D750|Nikon Z6|Nikon D3500|Sony A7 III|Sony A6000|Sony RX100
Fujifilm X-T3|Fujifilm X100V|Olympus E-M10|Panasonic GX80|Panasonic LX100|Leica Q2|Pentax K-70|GoPro HERO9
iPhone 12|iPhone 8|iPhone 13 Pro|Pixel 6|Pixel 4a|Galaxy S21|Galaxy S9|Huawei P30|DJI Mini 2|DJI Mavic Air|Ricoh GR
Xiaomi Mi 11|OnePlus 9|Moto G8|Kodak Z990|Casio EX-Z75|Hasselblad X1D
""")
PEOPLE = phrases("""
Anna|Ben|Carla|David|Emma|Frank|Greta|Hugo|Ida|Jonas|Karl|Lena|Mia|Noah|Olga|Paul|Rosa|Sam|Tina|Uwe|Vera|Will|Yara
Zoe|Alice|Bob|Clara|Dora|Eric|Fiona|George|Hannah|Ivan|Julia|Kim|Lukas|Maria|Nina|Oscar|Peter|Quinn|Ruth|Simon|Tom
Ursula|Victor|Wendy|Xavier|Yusuf|Priya|Chen|Aiko|Omar|Fatima|Diego|Lucia|Sven|Astrid|Miller|Garcia|Schmidt|Rossi
Dupont|Kowalski|Novak|Jensen|O'Brien|van Dijk|Smith|Jones
""")
WORDS = phrases("""
draft|final|public|private|approved|rejected|pending|urgent|sold|blurry|sharp|sunny|rainy|cloudy|indoor|outdoor
portrait|landscape|macro|panorama|poster|cover|banner|icon|sketch|oil|pencil|acme|globex|initech|umbrella corp
north|south|east|west|spring|alpha|beta|gamma|delta|A1|B2|C3|X9|easy|medium|hard|basic|premium|kitchen|bedroom
bathroom|hallway|attic|cellar|shoes|shirts|dresses|chairs|tables|lamps|mugs|books|toys|France|Germany|Canada|Brazil
""")
#: Names of own fields by the kind of their values.
TEXT_FIELDS = {
    "owner": PEOPLE, "author": PEOPLE, "photographer": PEOPLE, "artist": PEOPLE, "creator": PEOPLE, "user": PEOPLE,
    "editor": PEOPLE, "by": PEOPLE, "client": (*WORDS, *PEOPLE), "status": WORDS, "category": WORDS, "label": WORDS,
    "event": FOLDER_NAMES, "place": FOLDER_NAMES, "location": FOLDER_NAMES, "city": FOLDER_NAMES, "album": FOLDER_NAMES,
    "project": (*WORDS, *FOLDER_NAMES), "country": FOLDER_NAMES, "room": WORDS, "brand": WORDS, "style": WORDS,
    "source": WORDS, "team": WORDS, "kind": WORDS, "series": WORDS, "topic": WORDS, "customer": PEOPLE,
}  # fmt: skip
NUMBER_FIELDS = (
    "stars",
    "rating",
    "price",
    "score",
    "likes",
    "views",
    "votes",
    "year",
    "page",
    "version",
    "size",
)
FLAGS = (
    "favourite",
    "favorite",
    "public",
    "private",
    "approved",
    "printed",
    "published",
    "sold",
    "edited",
    "blurry",
)
TAGS = ("tags", "keywords", "labels", "people", "topics")

MONTHS = phrases("January|February|March|April|May|June|July|August|September|October|November|December")
SEASONS = ("spring", "summer", "autumn", "fall", "winter")
DAYS = phrases("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
_RELATIVE = phrases("""
today | yesterday | this week | last week | this month | last month | this year | last year | this weekend
last weekend | the day before yesterday | the past week | the last week | the past month | the past year
the last month | the last year | this morning | the year before last | last Christmas | Christmas
""")


@dataclass(frozen=True, kw_only=True)
class DrawnField:
    """A field of a made-up collection.

    Attributes:
        name, kind: as a filter names it, and what its values are.
        values: of texts and lists.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()


def drawn_fields(rng: Random) -> list[DrawnField]:
    """One to six fields, in order of name with the folder last, as a collection describes them."""
    own = [_own(rng) for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))]
    found = {each.name: each for each in own}
    if rng.random() < 0.75:
        found["date"] = DrawnField(name="date", kind="date")
    if rng.random() < 0.5:
        found["camera"] = _text("camera", CAMERA_NAMES, rng)
    fields = [found[name] for name in sorted(found)] or [DrawnField(name="date", kind="date")]
    return [*fields, _text("folder", _paths(rng), rng)] if rng.random() < 0.7 else fields


def drawn_time(rng: Random) -> str:
    """A time as people name it: "last summer", "June 2021", "3 days ago"."""
    year, month, day = rng.randint(1995, 2027), rng.choice(MONTHS), rng.randint(1, 28)
    form = rng.random()
    if form < 0.2:
        return rng.choice(
            (str(year), str(year), f"the year {year}", f"the {year % 100 // 10}0s", f"the {year // 10}0s")
        )
    if form < 0.45:
        short = month if rng.random() < 0.8 else month[:3]
        return rng.choice((f"{short} {year}", f"{short} of {year}", short, f"last {month}", f"this {month}"))
    if form < 0.65:
        season = rng.choice(SEASONS)
        choices = (f"last {season}", f"last {season}", f"this {season}", f"{season} {year}", f"the {season} of {year}",
                   f"{season} of {year}", f"the last {season}", season)  # fmt: skip
        return rng.choice(choices)
    if form < 0.77:
        iso = f"{year}-{MONTHS.index(month) + 1:02}-{day:02}"
        return rng.choice(
            (f"{day} {month} {year}", f"{month} {day}, {year}", iso, iso[:7], f"the {day}th of {month}")
        )
    if form < 0.87:
        number, unit = (
            rng.choice(("2", "3", "5", "10", "two", "three", "six")),
            rng.choice(("day", "week", "month", "year")),
        )
        forms = (
            f"the last {number} {unit}s",
            f"the past {number} {unit}s",
            f"{number} {unit}s ago",
            f"a {unit} ago",
        )
        return rng.choice(forms)
    return rng.choice((rng.choice(_RELATIVE), f"last {rng.choice(DAYS)}", rng.choice(DAYS)))


def _text(name: str, values: tuple[str, ...], rng: Random, kind: str = "text") -> DrawnField:
    chosen = rng.sample(values, min(len(values), rng.choice((1, 2, 3, 5, 8))))
    return DrawnField(name=name, kind=kind, values=tuple(sorted(chosen)))


def _own(rng: Random) -> DrawnField:
    kind = rng.random()
    if kind < 0.65:
        name = rng.choice(sorted(TEXT_FIELDS))
        return _text(name, TEXT_FIELDS[name], rng)
    if kind < 0.8:
        return DrawnField(name=rng.choice(NUMBER_FIELDS), kind="number")
    if kind < 0.9:
        return DrawnField(name=rng.choice(FLAGS), kind="boolean")
    return _text(rng.choice(TAGS), WORDS, rng, "list")


def _paths(rng: Random) -> tuple[str, ...]:
    """Folders, some of them within another one, some named like what pictures show."""
    names = rng.sample((*FOLDER_NAMES, *KINDS), 10)
    return tuple(f"{rng.choice(names[:2])}/{name}" if rng.random() < 0.25 else name for name in names)
