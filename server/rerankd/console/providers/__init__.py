"""The command `providers`: facts and status of every provider, and how they are printed."""
