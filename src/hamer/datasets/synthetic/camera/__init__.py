"""A camera's faults: from light to a photograph, without any geometric change."""
