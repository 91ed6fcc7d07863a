"""The command line around the commands: options, help, completion, man pages. Click's room, beside cli.py."""
