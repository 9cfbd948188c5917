"""The strategy fusion: several models score all documents, and their scores or ranks are joined."""
