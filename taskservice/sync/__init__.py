"""From the folder of task files to the tables. Nobody else sees YAML."""
