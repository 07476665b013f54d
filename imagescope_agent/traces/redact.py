"""Keeps credentials out of what is written down."""

from __future__ import annotations

import json
import os
import re

HIDDEN = "[secret]"
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
# every pattern stops before quotes and backslashes, so that JSON text stays JSON
_PATTERNS = (
    re.compile(r"\b(?:sk|pk|rk|hf|gh[pousr]|glpat|xox[abpr]|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,}"),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(?<=basic )[A-Za-z0-9+/=]{12,}"),
    re.compile(r"(?<=://)[^/\s:@\"\\]+:[^/\s@\"\\]+(?=@)"),
)
_NAMED = re.compile(
    r"(?i)((?:api[-_ ]?key|access[-_ ]?token|authorization|x-api-key)(?:\\?[\"'])?\s*[:=]\s*(?:\\?[\"'])?)"
    r"(?!bearer |basic )[^\s\"'\\,}&]{8,}"
)


def redact(text: str) -> str:
    """JSON text without keys, tokens, authorization headers and the values of secret environment variables."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _NAMES.search(name):
            text = text.replace(json.dumps(value, ensure_ascii=False)[1:-1], HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return _NAMED.sub(rf"\g<1>{HIDDEN}", text)
