"""`make bench`: how fast the service is, beside what its database can do."""
