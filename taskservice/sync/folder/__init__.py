"""The tasks folder: what is in it, what its files declare, and when something changes there."""
