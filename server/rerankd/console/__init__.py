"""The command line: commands, what they read and how they print."""
