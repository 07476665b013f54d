"""Profiles: which model serves which role and which model embeds, one TOML file and one line here each."""

from __future__ import annotations

PROFILES: dict[str, str] = {
    "mini": "mini.toml",
    "mini_cot": "mini_cot.toml",
    "mini_mra": "mini_mra.toml",
    "photos": "photos.toml",
    "laptop": "laptop.toml",
    "gpu": "gpu.toml",
    "paper": "paper.toml",
    "server": "server.toml",
}
