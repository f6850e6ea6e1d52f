"""`taskservice schema`: the JSON Schema of a task file."""

import json

import rich_click as click


@click.command()
def schema() -> None:
    """Print the JSON Schema of a task file, for editors.

    An editor with a YAML language server checks and completes a file that begins with

    # yaml-language-server: $schema=task-file.schema.json

    where the schema's path, from the file, is that of what this command printed.

    \b
    Example:
      taskservice schema > tasks.d/task-file.schema.json
    """
    from taskservice.domain.json_schema import task_file_schema

    click.echo(json.dumps(task_file_schema(), indent=2, ensure_ascii=False))
