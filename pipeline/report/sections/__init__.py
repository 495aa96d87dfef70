"""One section of the page each: what it shows, beside the template of the same name."""
