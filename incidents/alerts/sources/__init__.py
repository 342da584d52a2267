"""One reader for each kind of payload: a pure function from a body to what it says."""
