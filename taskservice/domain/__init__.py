"""What a task is and means: pure values and decisions, with time as an argument."""
