"""Where a URL is asked for and with whose password, and how what is there comes here and is verified."""
