"""What every layer shares: messages, the call's context, errors, statuses and the service protocol."""
