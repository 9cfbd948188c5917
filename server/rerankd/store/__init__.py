"""The store: the database that keeps what outlives a process, with its migrations."""
