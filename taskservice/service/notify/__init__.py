"""Who is told of what: rules judge what was seen, and an outbox is emptied into channels."""
