"""Chat models that can serve a role, one line each; any other is named "module:attribute"."""

from __future__ import annotations

MLLMS = {
    "transformers": "imagescope_agent.mllms.transformers_chat:TransformersChat",
    "cir_cot": "imagescope_agent.retrieval.embedders.cir_cot_chat:CotChat",
    "photo_chat": "imagescope_agent.photo_chat.chat:PhotoChat",
    "endpoint": "imagescope_agent.mllms.openai.endpoint:Endpoint",
    "absent": "imagescope_agent.mllms.absent:Absent",
    "scripted": "imagescope_agent.mllms.scripted:Scripted",
}
