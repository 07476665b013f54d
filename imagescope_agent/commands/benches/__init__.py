"""The benchmarks of `imagescope bench` and their arguments, declared here since the modules import models."""

from __future__ import annotations

from imagescope_agent.commands.benches.arguments import Bench as Bench
from imagescope_agent.commands.benches.cost import COST
from imagescope_agent.commands.benches.quality import QUALITY
from imagescope_agent.commands.benches.quality import REASONING_WAYS as REASONING_WAYS

BENCHES = {**COST, **QUALITY}  # name of the bench and, with _ for -, of its module in lab.benchmarks
