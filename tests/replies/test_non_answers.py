"""What looks like an answer and is none is not read as one, and what is one is."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.judges.replies import parse_grade, parse_order
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.nodes.intent.drift import content_words, is_english, strayed_words
from imagescope_agent.replies.non_answers import refuses, says_nothing
from imagescope_agent.replies.parsing import parse_caption, parse_intent, parse_predicates, parse_yes_no
from imagescope_agent.replies.reader import first_choice

NONE = """No image was provided, so I cannot tell.|No idea.|Yes and no|Yes/No|No problem!|Yes, I'd be happy to help
Not sure|No answer can be given|Yes or No|No way to tell|No, I can’t tell|Yes, please upload the image.|No. 5|no-one
Yes, no.|No clear answer|Yes... or no?|Yes (or No)|No, I don't know|Yes? Maybe|No comment|Yes, how can I help?"""
SAID = """Yes|**Yes**|Yes, it is.|No, there is no dog.|No, I cannot see a dog.|No dog is visible
No, the sky is not clear.
Yes, no doubt about it|No, I don't see any square.|“No”|Yes, he is happy.|No red square is shown in the image"""

# wordings that nothing was made for, in the shapes: no word of the two, another language, taken back, hedged, both,
# a determiner before what is no thing, manners, about the picture itself
NEITHER = """N/A|None|Neither|Neither yes nor no|Not applicable|Unclear|Nothing|Nothing visible
Nobody knows|Maybe|Y/N|?|Nope|Nein, keine Ahnung|No, keine Ahnung|No sé|No lo sé|No, no lo sé
No puedo decirlo|No lo so|Non lo so|Não sei|No hay manera|Yes... I mean no|Yes... or rather no
No - wait, yes|No, wait. Yes.|Yes. Actually, no.|Yes? No?|NO... hmm... yes|Yes (or maybe no)
Yes, if the picture shows a car|No, unless it is hidden|Yes, I guess?|No, right?|Yes (50%)|Yes, maybe
Yes, but I cannot be certain|yes / no|"Yes" or "No"|Yes = 1, No = 0|Yes/No/Unsure|Yes & No
Answer: yes or no|Answer: unknown|The answer is not clear|YES NO|No decision possible|No verdict
No evidence either way|No way!|No determination can be made|No signal|No wonder|No match found|Yes, please
No, thank you|Yes, of course!|Yes man|Yes, I can see the image.|No, I don't have the picture
No picture was shared|No data available|No one can tell|No. 1|Yes, what would you like to know?
No, could you send it again?|No, it is impossible to tell|No, no puedo|Yes, I am ready|No, I refuse|No, N/A
Yes, understood|Yes, I understand the question.|Yes, could be|No, this cannot be determined|No, I need more context
Yes, I have the picture|Yes, it may be|No 5|No, I have no eyes
No, image not found|No, the photo is too blurry to tell|No, as a language model I have no eyes"""
EITHER = """yes.|NO!|*No*|"No"|'Yes.'|(Yes)|[No]|`Yes`|_No_|Yes, there is a red car.|yes - the car is red
Yes: it is red|Yes it is|Yes the car is red|No it is not|No the car is blue
No cars are visible in the image|No people are present|No one is visible|No, no, no dog here|Answer: yes
Answer: No|The answer is yes.|Final answer: **Yes**|**Answer:** Yes|No, the sign says "Yes"
Yes, it is a sign with the word "no" on it|Yes clearly|No, not at all|No; blue|No (it is blue)
Yes, there are two; one has no wheels|Yes, I can see an image of a car|Yes, please see the car on the left
Yes, it has no roof|Yes, it could be a dog.|Yes. I looked closely: two dogs.|Yes, I have found it
No 2 dogs are visible|No, 2 dogs are there|No. 2 cars stand on the left|Yes, I've checked: it is red
- Yes|✅ Yes|<answer>No</answer>|{"answer": "no"}|No (100%)|Yes, I'm certain
No, I only see a cat|No, I can't find a dog"""


def split(lines: str) -> list[str]:
    return [each for line in lines.splitlines() for each in line.split("|")]


@pytest.mark.parametrize("text", split(NONE) + split(NEITHER))
def test_no_verdict_is_read_from_what_answers_nothing(text: str) -> None:
    assert first_choice(text, ("Yes", "No")) is None
    with pytest.raises(UnreadableReply):
        parse_yes_no(text)


@pytest.mark.parametrize("text", split(SAID) + split(EITHER))
def test_a_verdict_is_read_from_an_answer(text: str) -> None:
    yes = re.search(r"yes|no", text.lower())[0] == "yes"  # type: ignore[index]
    assert first_choice(text, ("Yes", "No")) == (0 if yes else 1)
    assert parse_yes_no(text)[0] is yes


@pytest.mark.parametrize("line", ["Yes\n\nThe car is red.", "No\nThere is a truck."])
def test_a_line_ends_an_answer(line: str) -> None:
    assert first_choice(line, ("Yes", "No")) == (0 if line.startswith("Yes") else 1)
    assert first_choice(line + "\nYes\nNo", ("Yes", "No")) is None


@pytest.mark.parametrize("text", ["No dogs", "No dog.", "No brown dog", "**No** dogs"])
def test_what_was_asked_about_may_follow_no_at_once(text: str) -> None:
    model = Scripted([text, "No clue at all"])
    requests = [Request(text="Is there a dog on the lawn?")] * 2
    choice = asyncio.run(Role("verifier", model).choose(requests, ("Yes", "No")))
    assert choice.probabilities == [[0.0, 1.0], [0.5, 0.5]]
    assert [each["kind"] for each in choice.notes] == ["fallback", "unreadable"]


@pytest.mark.parametrize(
    ("text", "place"),
    [("A", 0), ("A is better", 0), ("B.", 1), ("A dog is shown", None), ("A or B", None), ("A/B", None)],
)
def test_a_label_is_no_article(text: str, place: int | None) -> None:
    assert first_choice(text, ("A", "B")) == place


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "As an AI language model, I",
        "Yes",
        '{"caption": "a dog"}',
        "dog dog dog dog dog dog",
        "Please provide an image so I can describe it.",
        "I don’t see an image attached",
        "I apologize, but",
    ],
)
def test_a_caption_that_describes_nothing_is_none(text: str) -> None:
    assert says_nothing(text)
    with pytest.raises(UnreadableReply):
        parse_caption(text)


REFUSALS = """Unfortunately, I cannot see the image.|The image is missing, so I can't describe it.
It seems the image was not provided|Hello! How can I help you today?|No image was attached to your message.
Caption: I'm sorry, I cannot|Sure! Please upload the photo.|I see no image attached.|Your photo could not be loaded.
There is no image provided, please share it|Could you please share the picture?|I would be happy to help; let me know
Well, I won't do that.|This is a text-only chat. I am unable to view pictures."""
CAPTIONS = """A man is happy to help a woman.|a sign that says "sorry"|house|a sign that reads 'Please share the road'
a banner with the words I will not be silent|a phone screen showing no image found|a poster saying “I can’t breathe”
a browser whose image could not be loaded|a child at a desk who is able to help|a T-shirt that says let me know
a clerk who says please provide your passport|two people, one ready to help the other|a mug reading "I am an AI"
a dog that can not find its ball"""


@pytest.mark.parametrize("text", split(REFUSALS))
def test_a_refusal_is_no_caption_and_no_description(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize("text", split(CAPTIONS))
def test_a_caption_is_kept(text: str) -> None:
    assert parse_caption(text) == text
    assert not says_nothing(text)


def test_the_words_of_the_request_are_no_refusal() -> None:
    asked = "please share pictures of dogs"
    intent = {
        "steps": [{"type": "Addition", "text": "dogs"}],
        "core": asked,
        "enhanced": asked,
        "full": asked,
    }
    assert parse_intent(json.dumps(intent), asked)["core"] == asked
    with pytest.raises(UnreadableReply, match="nothing that could be searched"):
        parse_intent(json.dumps(intent), "dogs on a beach")


GRADES: dict[str, float | None] = {
    "10%": None,
    "3 out of 5": 0.6,
    "5/5": 1.0,
    "-3": None,
    "Rating (0-10): 8": 0.8,
    "Image 2: 7": 0.7,
    "1. 8": 0.8,
    "7-8": None,
    "I see 3 dogs: 8": None,
    "Step 1: look. Grade 5": 0.5,
    "8/10": 0.8,
    "4 stars": None,
    "8\nThe image shows 2 dogs": 0.8,
    "**8**\n\nIt has 3 of the 4 things.": 0.8,
    "8 - 2 dogs and a cat are there": 0.8,
    "7 - 8 points": None,
    "8-7": None,
    "8\n7\n6": None,
    "2 to 3 dogs": None,
}


@pytest.mark.parametrize("text", GRADES)
def test_a_grade_is_read_right_or_not_at_all(text: str) -> None:
    if (wanted := GRADES[text]) is not None:
        assert parse_grade(text) == pytest.approx(wanted)
        return
    with pytest.raises(UnreadableReply):
        parse_grade(text)


def test_an_order_may_count_from_nought() -> None:
    assert parse_order("[0] > [2] > [1]", 3) == [0, 2, 1]
    assert parse_order('{"order": [2, 0, 1]}', 3) == [2, 0, 1]
    with pytest.raises(UnreadableReply):
        parse_order("[3] > [0]", 3)


def test_a_quote_or_a_foreign_word_does_not_switch_the_guard_off() -> None:
    assert is_english("a red “dog” on the dog’s bed") and is_english("a dog at the café de flore by the sea")
    assert not is_english("un perro en la playa") and not is_english("красный дом")


def test_a_question_about_another_thing_is_told() -> None:
    assert strayed_words("Is there an oven?", "a red square")
    assert not strayed_words("Is there a square?", "a red square") and not strayed_words("Is it blue?", "red")


@pytest.mark.parametrize("question", ["Is it an oven?", "Does it show a tall giraffe?", "Is this a kitchen?"])
def test_a_question_about_it_names_what_was_told(question: str) -> None:
    assert strayed_words(question, "a red square, make it bigger")
    assert not strayed_words(question, "make it bigger", known=False)  # it may be an oven
    assert not strayed_words(question, f"no {content_words(question)}")


LIKE = """Is it blue?|Is it a square?|Is it a different color?|Is she a lady?|Is it a bigger shape?|Is it outdoors?
Are they alike?|Is it in the corner?|Does it have 2 or more sides?"""


@pytest.mark.parametrize("question", split(LIKE))
def test_what_it_is_like_may_be_said_in_other_words(question: str) -> None:
    assert not strayed_words(question, "a red square, make it bigger")


def test_json_that_says_two_things_says_none() -> None:
    one, other = (
        json.dumps({"predicates": [{"question": f"Is there a {thing}?", "expected": "Yes"}]})
        for thing in "ab"
    )
    assert parse_predicates(one + one)
    for text in (one + other, one.replace('"expected"', '"expected": "No", "expected"')):
        with pytest.raises(UnreadableReply):
            parse_predicates(text)
    no = "I'm sorry, I can't help with that"
    steps = '[{"type": "Addition", "text": "a dog"}]'
    with pytest.raises(UnreadableReply, match="nothing that could be searched"):
        parse_intent(f'{{"steps": {steps}, "core": "{no}", "enhanced": "{no}", "full": "{no}"}}')
