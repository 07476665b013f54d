"""The batches of a model that reasons, then embeds, and the threshold from which it writes a chain."""

from __future__ import annotations

import numpy as np

from imagescope_agent.lab.training.embedders.cir_cot_calibrate import Held
from imagescope_agent.lab.training.embedders.cir_cot_data import Batches, Example, rivals, split
from imagescope_agent.replies.chains import Chain


def test_what_is_held_out_is_no_target_of_what_is_trained_on() -> None:
    names = [f"{number}.png" for number in range(300)]
    pairs = zip(names, names[7:] + names[:7], strict=True)
    examples = [Example(reference=one, text="another", target=other) for one, other in pairs]
    training, held = split(examples)
    hidden = {each.reference for each in held}
    assert 3 < len(held) < 40 and len(training) < 300 - len(held)
    assert not hidden & {name for each in training for name in (each.reference, each.target)}


def test_a_step_always_has_the_same_examples_and_only_known_ones_are_negatives() -> None:
    def example(reference: str, target: str, *others: str) -> Example:
        return Example(
            reference=reference, text=f"{reference} to {target}", target=target, distractors=others
        )

    examples = [example("a", "b", "c"), example("a", "d"), example("e", "f")]
    batches = Batches(examples, 0, groups=2, texts=2)
    assert batches.step(3, chains=False) == batches.step(3, chains=False)
    assert batches.step(3, chains=True) == []
    names = ["b", "a", "c", "d", "f", "e"]
    # the target of another query about the same reference may be wanted as well: it says nothing
    assert rivals(examples, names, most=2)[0] == [True, True, True, False, True, True]
    assert rivals(examples, names, most=2)[2] == [True] * 6


def test_steps_that_learn_chains_have_some_however_few_triplets_have_one() -> None:
    chain = Chain(caption="a", reasoning="b", conclusion="c")
    examples = [
        Example(reference=f"{n}.png", text="x", target=f"t{n}.png", chain=chain if n % 20 == 0 else None)
        for n in range(200)
    ]
    batches = Batches(examples, 0, groups=4, texts=2)
    steps = [batches.step(number, chains=True) for number in range(50)]
    assert all(len(step) == 4 and all(each.chain for each in step) for step in steps)


def test_the_threshold_writes_no_more_chains_than_it_must() -> None:
    lead = np.array([0.1, 0.2, 0.3, 0.4])
    right, wrong = np.zeros(4, int), np.ones(4, int)
    some = np.array([1, 1, 0, 0])
    assert Held(fast=right, full=right, told=right, lead=lead).threshold() == 0
    assert 0.2 < Held(fast=some, full=right, told=right, lead=lead).threshold() < 0.3
    assert Held(fast=wrong, full=right, told=right, lead=lead).threshold() > 0.4
    figures = Held(fast=some, full=right, told=right, lead=lead).figures()
    assert figures["auto"]["R@1"] == 1 and figures["chains"] == 0.5 and figures["fast"]["R@1"] == 0.5
