"""When a fire is due: claiming it, running it, and recording how it ended."""
