"""Judgements: how relevant a document is to a query, as somebody said; read, kept and asked for."""
