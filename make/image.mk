# The image, and its check.
