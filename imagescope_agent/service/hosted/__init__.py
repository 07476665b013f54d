"""A model of a profile over HTTP, as OpenAI-compatible servers offer one."""
