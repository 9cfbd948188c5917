"""Strategy llm-listwise: a chat model orders documents, a window of them in one call."""
