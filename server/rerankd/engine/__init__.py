"""The engine: validates, renders, scores and ranks requests, independent of the transport."""
