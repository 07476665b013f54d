"""Collections inside other frameworks: LangChain, LangGraph, the Model Context Protocol."""
