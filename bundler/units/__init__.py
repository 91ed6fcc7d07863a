"""Services -> systemd units."""
