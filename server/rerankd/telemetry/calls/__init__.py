"""What is known of a call: its record, watches of its parts, its span, and the queue to the sinks."""
