"""The tables, and every query that touches them."""
