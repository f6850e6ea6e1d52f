"""What is measured: each module has the parts of a few rows of the table."""
