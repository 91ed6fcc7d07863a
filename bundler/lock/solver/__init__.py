"""Solving with py-rattler: channels, specs, dates, conditions, and sentences for what fails."""
