"""Prompt texts: <step>.md, and <set>/<step>.md where a model family needs other words."""
