"""The web: HTTP in front of the service; the only room that knows of status codes."""
