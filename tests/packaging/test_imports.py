"""What asks no chat model imports nothing that chat models need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = """
import json, sys
from imagescope_agent.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    """The packages that a command has imported when it is done."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, names = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(names)


#: What stores other than the default one need.
DATABASES = {"pymilvus", "milvus_lite", "grpc", "psycopg", "pgvector"}
#: What work on several machines needs.
CLUSTERS = {"ray", "pyarrow", "pandas"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (64, 64), colour).save(place / f"{number}.png")
    assert "transformers" in imported("index", str(place), "--profile", "mini")  # it captions
    return place


def test_help_imports_no_model() -> None:
    assert not imported("--help") & {"torch", "transformers", "open_clip", "langgraph", "faiss"}


def test_a_search_without_a_chat_model_imports_no_transformers(folder: Path) -> None:
    names = imported("search", str(folder), "a red square", "--graph", "retrieve")
    assert "open_clip" in names and not names & {"transformers", "timm", "sympy"}
    assert not names & {*DATABASES, *CLUSTERS}


def test_service_conversations_and_evaluation_import_no_database_and_no_cluster() -> None:
    pytest.importorskip("fastapi", reason="pip install 'imagescope-agent[serve]'")
    script = """
import json, sys
import imagescope_agent.api, imagescope_agent.chat, imagescope_agent.commands.serve, imagescope_agent.service.app
import imagescope_agent.evaluation.evaluate, imagescope_agent.lab.benchmarks.stores
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {*json.loads(told)} & {*DATABASES, *CLUSTERS}


def test_an_index_that_finds_nothing_new_opens_no_model(folder: Path) -> None:
    assert not imported("index", str(folder)) & {"transformers", "open_clip", *DATABASES, *CLUSTERS}


def test_a_text_tower_of_hugging_face_is_there_when_it_is_needed_later() -> None:
    script = """
from imagescope_agent.retrieval.embedders.open_clip_import import import_open_clip
import sys
lean = import_open_clip(transformers=False, timm=False)
assert lean.hf_model.transformers is None and "transformers" not in sys.modules
whole = import_open_clip(transformers=True, timm=False)
assert whole is lean and whole.hf_model.transformers is sys.modules["transformers"]
assert whole.model.HFTextEncoder is whole.hf_model.HFTextEncoder
import_open_clip(transformers=False, timm=False)
import transformers
assert whole.timm_model.timm is None
import_open_clip(transformers=False, timm=True)
assert whole.timm_model.timm is sys.modules["timm"]
assert whole.model.TimmModel is whole.timm_model.TimmModel
assert whole.model.TimmModel("resnet18", 8, image_size=32)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_torchvision_does_not_use_is_imported_when_somebody_does() -> None:
    script = """
from imagescope_agent.retrieval.embedders.open_clip_import import import_open_clip
import sys
import_open_clip(transformers=False, timm=False)
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
import torch, torchvision
boxes = torch.tensor([[0, 0.0, 0, 4, 4]])
assert torchvision.ops.roi_align(torch.ones(1, 3, 8, 8), boxes, 2).tolist() == torch.ones(1, 3, 2, 2).tolist()
import torch._dynamo.config
assert torch._dynamo is sys.modules["torch._dynamo"] and torch._dynamo.config.verbose is not None
assert type(sys.modules["torch._dynamo.utils"]).__name__ == "module"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("use", ["import torch._dynamo.config", "import torch; torch._dynamo.config.verbose"])
def test_whoever_uses_it_meanwhile_gets_the_real_one(use: str) -> None:
    script = f"""
import sys
import torch
from imagescope_agent.retrieval.embedders import open_clip_import as late
sys.modules |= {{name: late._Late(name) for name in ("torch._dynamo", "torch._dynamo.utils")}}
from torch._dynamo.utils import is_compile_supported
assert type(sys.modules["torch._dynamo"]) is late._Late
{use}
assert type(sys.modules["torch._dynamo"]) is not late._Late and sys.modules["torch._dynamo"].config
assert torch._dynamo is sys.modules["torch._dynamo"]
assert is_compile_supported("cpu") in (True, False)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
