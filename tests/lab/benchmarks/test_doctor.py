from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from imagescope_agent.doctor.checks import check
from imagescope_agent.doctor.report import DoctorReport, Finding
from imagescope_agent.errors import BadInput
from tests.mllms import quirks
from tests.mllms.server import FakeServer, Quirk


def profile(folder: Path, model: str, embedder: str = "/nowhere/clip") -> str:
    text = f'embedder = "{embedder}"\nprompt_set = "mini"\n\n[models.one]\n{model}\n\n[roles]\n'
    text += "\n".join(f'{role} = "one"' for role in ("captioner", "reasoner", "verifier", "judge"))
    path = folder / "own.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.slow
def test_a_local_model_is_compared_with_itself(qwen3_vl: Path, tmp_path: Path) -> None:
    report = check(profile(tmp_path, f'mllm = "transformers"\ncheckpoint = "{qwen3_vl}"'))
    found = {finding.check: finding for finding in report.findings if finding.what != "embedder"}
    assert {"loads", "label probabilities", "JSON by schema", "batch = one by one", "speed"} <= found.keys()
    assert all(finding.ok for finding in found.values()), report.table()
    assert "single tokens" in found["label probabilities"].detail
    assert not report.ok and report.exit_code == 2  # the embedder is nowhere
    assert report.to_dict()["checks"][0]["check"] == "loads" and "FAILS" in report.table()


def test_a_missing_model_is_a_finding(tmp_path: Path) -> None:
    report = check(profile(tmp_path, 'mllm = "transformers"\ncheckpoint = "/nowhere/model"'))
    assert [finding.ok for finding in report.findings] == [False, False] and report.exit_code in (2, 3)


def test_roles_without_a_chat_model_are_no_failure(tmp_path: Path) -> None:
    report = check(profile(tmp_path, 'mllm = "absent"', embedder="package:mini/clip"))
    (embedder, roles) = report.findings
    assert report.ok and report.exit_code == 0 and embedder.what == "embedder"
    assert (roles.check, roles.ok) == ("no chat model", True) and "ranks by the embedder" in roles.detail


def test_an_absent_model_in_one_role_leaves_the_checks_of_the_others(tmp_path: Path) -> None:
    place = Path(profile(tmp_path, 'mllm = "transformers"\ncheckpoint = "/nowhere/model"'))
    text = place.read_text().replace("[roles]", '[models.none]\nmllm = "absent"\n\n[roles]\ntalker = "none"')
    place.write_text(text.replace('judge = "one"', 'judge = "none"'))
    found = {finding.what: finding.ok for finding in check(str(place)).findings}
    assert found == {"embedder": False, "captioner reasoner verifier": False, "talker classifier judge": True}


def test_an_unknown_profile_is_bad_input() -> None:
    with pytest.raises(BadInput):
        check("nobody")


def test_the_table_has_a_line_a_check() -> None:
    finding = Finding(what="judge", check="speed", ok=True, detail="3 verdicts/s")
    report = DoctorReport(profile="mini", machine={}, findings=[finding] * 2)
    assert report.ok and report.table().splitlines() == ["ok  judge  speed  3 verdicts/s"] * 2


def served(quirk: Quirk, folder: Path) -> dict[str, Finding]:
    """What the doctor finds of a server that serves all roles."""
    with FakeServer(quirk=quirk) as server:
        options = f'mllm = "endpoint"\nurl = "{server.url}"\nattempts = 2\npause = 0.01'
        report = check(profile(folder, options))
    return {finding.check: finding for finding in report.findings if finding.what != "embedder"}


def test_what_a_server_refuses_is_told(tmp_path: Path) -> None:
    odd = quirks.several(
        quirks.most_pictures(1), quirks.most_logprobs(5), quirks.other_limit, quirks.no_schema_limits
    )
    found = served(odd, tmp_path)
    assert all(finding.ok for finding in found.values()), found
    heeds = found["answers the probe"].detail
    assert all(
        told in heeds for told in ("more than 5 top_logprobs", "max_completion_tokens", "limits in JSON")
    )
    assert "takes one picture a request" in found["two pictures in a request"].detail


def test_a_server_without_refusals_has_nothing_to_tell(tmp_path: Path) -> None:
    found = served(lambda body: None, tmp_path)
    assert found["answers the probe"].detail.endswith("heeds ['logprobs', 'schema']")
    assert found["two pictures in a request"].detail == "taken"
    assert (
        "make sure that the model looks" in found["sees pictures"].detail
    )  # it counts no tokens for a picture


def test_a_server_that_sees_nothing_fails_where_pictures_are_shown(tmp_path: Path) -> None:
    found = served(quirks.blind, tmp_path)
    assert [name for name, finding in found.items() if not finding.ok] == ["sees pictures"]
    assert "captioner, verifier, judge" in found["sees pictures"].detail


def test_roles_that_show_no_picture_are_asked_in_words(tmp_path: Path) -> None:
    with FakeServer(quirk=quirks.blind) as words, FakeServer() as eyes:
        lines = ['embedder = "/nowhere/clip"']
        for name, server in (("words", words), ("eyes", eyes)):
            lines += [f"[models.{name}]", 'mllm = "endpoint"', f'url = "{server.url}"', "attempts = 1"]
        lines += ["[roles]", 'reasoner = "words"']
        lines += [f'{role} = "eyes"' for role in ("captioner", "verifier", "judge")]
        (tmp_path / "own.toml").write_text("\n".join(lines))
        report = check(str(tmp_path / "own.toml"))
        assert [finding.what for finding in report.findings if not finding.ok] == ["embedder"], report.table()
        assert not any(quirks.pictures(body) for body in words.bodies)
        assert {len(quirks.pictures(body)) for body in eyes.bodies} == {0, 1, 2}


@pytest.mark.parametrize(
    ("text", "check_name"), [("", "answers a question"), ("No image was provided.", "label probabilities")]
)
def test_a_model_that_never_answers_readably_fails(text: str, check_name: str, tmp_path: Path) -> None:
    with FakeServer(lambda body: text, weights={"<think>": 0.99}) as server:
        options = f'mllm = "endpoint"\nurl = "{server.url}"\nattempts = 2\npause = 0.01'
        report = check(profile(tmp_path, options))
    found = {finding.check: finding for finding in report.findings}
    assert not found[check_name].ok and not report.ok


class Stranger(BaseChatModel):
    """A chat model as other packages write them: it knows nothing of labels, schemas or this package's errors."""

    fails: str = ""

    @property
    def _llm_type(self) -> str:
        return "stranger"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        shown = any(not isinstance(part, str) and part["type"] == "image" for part in messages[-1].content)
        if self.fails == "always":
            raise KeyError("choices")
        if self.fails == "limited":
            raise RateLimitError("Error code: 429 - slow down")
        if self.fails == "pictures" and shown:
            raise BadRequestError("Error code: 400 - this model does not take pictures")
        asks = "name a thing" in messages[-1].text.lower()
        text = "It is hard to say." if self.fails == "labels" else "Yes, it is."
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(content='{"word": "house", "number": 3}' if asks else text),
                )
            ]
        )


class RateLimitError(Exception):
    """As clients of servers name it."""


class BadRequestError(Exception):
    """As clients of servers name it."""


@pytest.mark.parametrize(
    ("fails", "failing", "told"),
    [
        ("", [], "answers are read as text"),
        ("pictures", ["sees pictures"], "does not take pictures"),
        ("labels", ["label probabilities"], "It is hard to say."),
        ("limited", ["sees pictures", "answers a question"], "RateLimitError"),
        ("always", ["sees pictures", "answers a question"], "KeyError"),
    ],
)
def test_a_model_of_another_package_is_asked_as_any_other(
    fails: str, failing: list[str], told: str, tmp_path: Path
) -> None:
    report = check(profile(tmp_path, f'mllm = "{__name__}:Stranger"\nfails = "{fails}"'))
    found = {finding.check: finding for finding in report.findings if finding.what != "embedder"}
    assert [name for name, finding in found.items() if not finding.ok] == failing, report.table()
    assert any(told in finding.detail for finding in found.values()), report.table()
    assert all("\n" not in finding.detail for finding in found.values())
