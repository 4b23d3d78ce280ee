"""What ships the service, tried for real as root: the image built, and run as its user would."""
