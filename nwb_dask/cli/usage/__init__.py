"""How commands are called: a module is named as its command, and has it as `command`, with its arguments and help."""
