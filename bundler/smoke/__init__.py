"""A bundle tried out on a throwaway machine: installed there, asked how its services are, and told of."""
