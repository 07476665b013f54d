"""Reranking: the judge's order, scores that do not depend on the batch, a client library of somebody else."""

from __future__ import annotations

import asyncio
import base64

import httpx
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.registry import resolve
from imagescope_agent.rerank import Content, rerank
from imagescope_agent.retrieval.images import load
from imagescope_agent.services import open_services
from tests.conftest import World
from tests.service.conftest import Serving

QUERY = "a red car"


def test_the_order_is_that_of_the_judge_in_process(serving: Serving) -> None:
    names = sorted(path.name for path in serving.folder.glob("*.png"))
    answer = serving.post("/v1/rerank", query=QUERY, documents=names)
    services = open_services("mini", serving.folder)
    candidates = [Candidate(id=name, image=services.collection.image_ref(name)) for name in names]
    judge = resolve("pointwise", JUDGES)
    judged = asyncio.run(judge(Task(query=QUERY, model=services.judge), candidates))
    assert [names[each["index"]] for each in answer["results"]] == judged.order


def test_a_score_is_the_same_alone_and_in_a_batch(serving: Serving) -> None:
    names = sorted(path.name for path in serving.folder.glob("*.png"))
    batch = {
        each["index"]: each["relevance_score"]
        for each in serving.post("/v1/rerank", query=QUERY, documents=names)["results"]
    }
    for place in (0, 7, 19):
        alone = serving.post("/v1/rerank", query=QUERY, documents=[names[place]])["results"][0]
        assert alone["relevance_score"] == pytest.approx(batch[place], abs=1e-3)


def test_pictures_are_sent_on_both_sides(serving: Serving) -> None:
    uri = "data:image/png;base64," + base64.b64encode((serving.folder / "000004.png").read_bytes()).decode()
    by_id = serving.post(
        "/v1/rerank", query={"text": "the same", "image": "000004.png"}, documents=["000004.png"]
    )
    sent = serving.post("/v1/rerank", query={"text": "the same", "image": uri}, documents=[{"image": uri}])
    assert sent["results"][0]["relevance_score"] == pytest.approx(
        by_id["results"][0]["relevance_score"], abs=1e-3
    )


def test_a_client_of_somebody_else(serving: Serving) -> None:
    cohere = pytest.importorskip("cohere", reason="pip install cohere")
    names = ["000001.png", "000015.png", "000003.png"]
    with httpx.Client(timeout=120) as http:
        client = cohere.ClientV2(api_key="none", base_url=serving.address, httpx_client=http)
        answer = client.rerank(model="pointwise", query=QUERY, documents=names, top_n=2)
    ours = serving.post("/v1/rerank", query=QUERY, documents=names, top_n=2)["results"]
    assert [(each.index, each.relevance_score) for each in answer.results] == [
        (each["index"], pytest.approx(each["relevance_score"], abs=1e-3)) for each in ours
    ]


def test_a_judge_that_compares_changes_the_order_not_the_scores(serving: Serving) -> None:
    names = sorted(path.name for path in serving.folder.glob("*.png"))[:6]
    points = serving.post("/v1/rerank", query=QUERY, documents=names)["results"]
    pairs = serving.post("/v1/rerank", query=QUERY, documents=names, model="prp-allpair")["results"]
    assert sorted(each["index"] for each in pairs) == [*range(6)]
    scores = {each["index"]: each["relevance_score"] for each in points}
    assert all(each["relevance_score"] == pytest.approx(scores[each["index"]], abs=1e-3) for each in pairs)


def test_without_an_index(world: World) -> None:
    from imagescope_agent.rerank import arerank

    def scorer(asked: object) -> list[float]:
        colour = world.colour(asked)
        return [0.9, 0.1] if colour == "red" else [0.2, 0.8]

    files = [world.folder / f"{name}.png" for name in ("blue", "red", "green")]
    found = asyncio.run(arerank("something red", files, model=world.role("judge", scorer=scorer)))
    assert [each.index for each in found.results] == [1, 0, 2]
    assert found.results[0].score == pytest.approx(0.9)
    assert found.usage["calls"] == 3


def test_a_document_that_is_no_picture_comes_last_with_a_note(world: World) -> None:
    from imagescope_agent.rerank import arerank

    (world.folder / "broken.png").write_bytes(b"no picture")
    files = [world.folder / "broken.png", world.folder / "red.png"]
    judge = world.role("judge", scorer=lambda asked: [0.4, 0.6])
    found = asyncio.run(arerank("something red", files, model=judge))
    assert [each.index for each in found.results] == [1, 0]
    assert found.results[1].score == 0
    assert [each["kind"] for each in found.notes] == ["skipped", "skipped"]


def test_the_text_of_a_document_is_shown_to_the_judge(world: World) -> None:
    from imagescope_agent.rerank import arerank

    seen: list[str] = []

    def scorer(asked: object) -> list[float]:
        seen.append(str(asked))
        return [0.5, 0.5]

    judge = world.role("judge", scorer=scorer)
    document = Content(text="a postcard of Rome", image=load(world.folder / "red.png").ref())
    found = asyncio.run(arerank("Rome", [document, Content(text="only words")], model=judge))
    assert any("a postcard of Rome" in text for text in seen) and any("only words" in text for text in seen)
    assert len(found.results) == 2


def test_what_cannot_be_reranked() -> None:
    for query, documents in (("", ["a.png"]), ("a car", [])):
        with pytest.raises(BadInput):
            rerank(query, documents)


def test_without_a_model_there_is_no_order() -> None:
    from imagescope_agent.mllms.absent import Absent
    from imagescope_agent.mllms.role import Role
    from imagescope_agent.rerank import arerank

    with pytest.raises(BadInput, match=r"no document has a score: .*has no chat model"):
        asyncio.run(arerank("a dog", [Content(text="a dog")], model=Role("judge", Absent())))
