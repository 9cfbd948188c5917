"""The model `default`: three stages within a time budget, and scores that are probabilities."""
