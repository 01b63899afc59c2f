"""The operator's command, ``hereabouts``: one file a command group; what is heavy is imported when needed."""
