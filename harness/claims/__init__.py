"""Can what a report prints be true? From its statements to those that cannot hold together."""
