"""Intent and predicates in one reply: what the published procedure asks the reasoner in two calls."""

from __future__ import annotations

from functools import partial
from typing import Any

from imagescope_agent.mllms.role import Reply
from imagescope_agent.nodes.intent.understand import Understand, strayed
from imagescope_agent.nodes.model_calls import ask_one, on_budget
from imagescope_agent.prompting import is_asked, load_prompt
from imagescope_agent.records import note
from imagescope_agent.replies.joint_reply import JointAnswer, parse_joint
from imagescope_agent.settings import Settings
from imagescope_agent.state import Intent, Predicate, State, references_of


class UnderstandJointly(Understand):
    """As `Understand`; by `Settings.joint` the reply holds the predicates too, so that `Predicates` asks nothing.

    Predicates that stray from the request are left out with a note; where none is left they are asked for apart. So
    are those of several references, and of models that were not taught to answer both at once.
    """

    is_read_again = True

    async def _ask(
        self, state: State, settings: Settings, again: str
    ) -> tuple[Intent, Reply, str, dict[str, Any]]:
        several = len(references_of(state)) > 1
        if not settings.joint or several or not is_asked("joint", self.reasoner.prompt_set):
            return await super()._ask(state, settings, again)
        reasoner = on_budget(self.reasoner, state, settings)
        prompt, query = load_prompt("joint", prompt_set=reasoner.prompt_set), state["query"]
        text = prompt.fill(instruction=query, reference=state["reference_caption"])
        parse = partial(parse_joint, told=query)
        (intent, found), reply = await ask_one(reasoner, text, parse, schema=JointAnswer, again=again)
        so_far: State = {**state, "intent": intent}
        problems = [strayed(each["question"], intent["steps"], so_far, prompt.examples) for each in found]
        kept: list[Predicate] = [each for each, problem in zip(found, problems, strict=True) if not problem]
        if why := next(filter(None, problems), ""):
            left = f"{len(found) - len(kept)} of {len(found)} predicates were left out: {why}"
            reply.notes.append(note(self.step, "drifted", left))
        return intent, reply, text, {"given_predicates": kept}
