"""Rerankers: named configurations of strategies, which score by asking other models through the engine."""
