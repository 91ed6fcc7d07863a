"""Solve with py-rattler: channels, specs, dates, conditions, and explanations of failures."""
