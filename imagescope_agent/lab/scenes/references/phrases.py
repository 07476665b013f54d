"""How references are named, and what is said of them: {}, or {0} and {1}, are things and names of references."""

from __future__ import annotations

NAMES = (
    (
        "image {}",
        "image {}",
        "image {}",
        "picture {}",
        "photo {}",
        "reference {}",
        "number {}",
        "no. {}",
        "#{}",
    ),
    ("the {} image", "the {} picture", "the {} one", "the {}", "the {} photo", "the {} reference"),
)
ORDINALS = (
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("fourth", "4th"),
    ("fifth", "5th"),
    ("sixth", "6th"),
    ("seventh", "7th"),
    ("eighth", "8th"),
)
ATTACHED = (
    "{} of {}",
    "{} of {}",
    "{} from {}",
    "{} in {}",
    "{} that is in {}",
    "{} shown in {}",
    "{} {} shows",
)
FIRST = ("from {1} {0}", "from {1} take {0}", "of {1} only {0}", "{1}: {0}")
PLACES = ("in the place of {}", "where {} is", "in the setting of {}", "with the background of {}",
           "in the surroundings of {}", "set where {} is", "at the place of {}", "in the scenery of {}",
           "against the background of {}", "with the setting from {}")  # fmt: skip
PAINTED = ("{} in the colour of {}", "{} in the colour of {}", "{} with the colour of {}", "{} coloured like {}",
            "{} painted like {}", "{}, but in the colour of {}", "{} as {} is coloured", "paint {} like {}",
            "give {} the colour of {}")  # fmt: skip
SIZED = ("{} in the size of {}", "{} as big as {}", "{} with the size of {}", "{} just as large as {}")
FRAMES = ("keep {}, the rest may change", "keep only {}", "{} together", "{}", "{}", "{}", "a picture with {}",
           "find {}", "show me {}", "put {} together", "combine {}", "take {}", "I want {}", "only {}",
           "one scene with {}", "{} in one picture", "looking for {}", "something with {}", "use {}",
           "bring {} together", "is there one with {}", "mix {}", "I am looking for {}", "a scene with {}")  # fmt: skip
ORDERS = (
    "paint",
    "give",
    "like",
    "the same",
    "everything",
    "from",
    "of",
)  # clauses that are whole sentences
WITHOUT = ("without {}", "but no {}", "with no {}", "and no {}")
