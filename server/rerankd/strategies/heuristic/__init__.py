"""The strategy heuristic: features of a document's texts, fields and dates, joined by weights."""
