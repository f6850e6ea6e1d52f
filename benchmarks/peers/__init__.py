"""What a user would write or pick instead: each module is a process of its own."""
