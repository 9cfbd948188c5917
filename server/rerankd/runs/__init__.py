"""The run log: one record a call, stored off the call's path, to be looked at, exported and replayed."""
