"""Acme's rerank API as a provider of rerankd."""
