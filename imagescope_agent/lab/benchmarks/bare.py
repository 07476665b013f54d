"""What a search, an index and a cold start would cost without anything around the models."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.request_queue import Job
from imagescope_agent.mllms.request import Request
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.captions.captioning import CAPTION_TOKENS
from imagescope_agent.retrieval.images import load
from imagescope_agent.retrieval.index.indexer import BATCH
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.services import Services

POLL = 0.02  # seconds between looks at a process
#: A search with an open_clip folder and a FAISS file, nothing else: folder, file of vectors, query.
SEARCH = """
import json, sys, faiss, numpy as np, open_clip, torch
from tokenizers import Tokenizer
folder, vectors, query = sys.argv[1:]
model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}", precision="fp32", pretrained_text=False)
words = Tokenizer.from_file(f"{folder}/tokenizer.json")
start, end, pad = (words.token_to_id(f"<|{name}|>") for name in ("start", "end", "pad"))
ids = [start, *words.encode(query, add_special_tokens=False).ids, end]
length = json.load(open(f"{folder}/open_clip_config.json"))["model_cfg"]["text_cfg"]["context_length"]
index = faiss.read_index(vectors)
with torch.inference_mode():
    text = model.eval().encode_text(torch.tensor([ids + [pad] * (length - len(ids))])).numpy()
print(index.search(text / np.linalg.norm(text), 10))
"""
#: An index of a profile's embedder and a FAISS file, nothing else: profile, folder of numbered files, file of vectors,
#: batch.
INDEX = """
import sys, faiss, numpy as np
from pathlib import Path
from PIL import Image
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_embedder_of
profile, folder, vectors, batch = sys.argv[1:]
embedder, paths, rows = open_embedder_of(load_profile(profile)), sorted(Path(folder).glob("[0-9]*")), []
for start in range(0, len(paths), int(batch)):
    images = [Image.open(path).convert("RGB") for path in paths[start : start + int(batch)]]
    rows.append(embedder.images(images))
index = faiss.IndexFlatIP(rows[0].shape[1])
index.add(np.concatenate(rows))
faiss.write_index(index, vectors)
"""
#: A search with that embedder and file: profile, file of vectors, query.
EMBED_AND_SEARCH = """
import sys, faiss
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_embedder_of
profile, vectors, query = sys.argv[1:]
print(faiss.read_index(vectors).search(open_embedder_of(load_profile(profile)).texts([query]), 10))
"""


def search(embedder: Embedder, index: Any, text: str) -> list[int]:
    """The ten rows of a FAISS index nearest to a text: its vector, and one search."""
    best: list[int] = index.search(embedder.texts([text]), 10)[1][0].tolist()
    return best


def index(services: Services, files: list[Path]) -> int:
    """Caption and embed files in batches on the models directly; returns how many captions were written."""
    model = services.captioner.model
    assert isinstance(model, TransformersChat)
    prompt = load_prompt("caption", prompt_set=services.captioner.prompt_set).fill()
    written = 0
    for start in range(0, len(files), BATCH):
        pictures = [load(file) for file in files[start : start + BATCH]]
        services.embedder.images([picture.image for picture in pictures])
        asked = [Request(text=prompt, images=(picture.ref(),)).messages() for picture in pictures]

        def caption(
            backend: Backend, conversations: list[Conversation], asked: list[Any] = asked
        ) -> list[str]:
            jobs = [Job(messages=each, caller=None, max_tokens=CAPTION_TOKENS) for each in asked]
            for job, conversation in zip(jobs, conversations, strict=True):
                job.conversation = conversation
            backend.admit(jobs)
            while backend.running:
                backend.step()
            return [job.future.result().text for job in jobs]

        captions = model.engine().run_task(caption, asked).result()
        services.embedder.texts(captions)
        written += len(captions)
    return written


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Seconds of a command that must succeed: by the clock, and of the processor."""
    return cost_of(command)[:2]


def cost_of(command: list[str]) -> tuple[float, float, float]:
    """As `seconds_of`, and the command's peak memory in MB (10^6 bytes), 0 where there is no /proc."""
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    # its usage would count the memory of this process, too, which it was made from
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak = max(peak, _peak(process.pid))
        time.sleep(POLL)
    _, status, used = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, peak


def _peak(pid: int) -> float:
    """The peak memory of a running process so far, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    kilobytes = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(next(kilobytes, "0")) * 1024 / 1e6


def python(*arguments: str) -> list[str]:
    """The command of a fresh interpreter."""
    return [sys.executable, *arguments]
