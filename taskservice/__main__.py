"""`python -m taskservice` is the same as `taskservice`."""

from taskservice.cli import main

if __name__ == "__main__":
    main()
