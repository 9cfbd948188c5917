"""What the dialects share: their base class, parsed requests, documents, names of fields, answers, errors."""
