"""The use case: what happens to a call whichever transport it came by."""
