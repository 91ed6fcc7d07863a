"""What systemd accepts, as far as it can be said without systemd: directives, spans of time, calendar events."""
