"""The text of one task file: read, written and edited. Nothing here opens a file."""
