"""The strategy llm-judge: a chat model judges each document by itself."""
