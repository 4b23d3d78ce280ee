"""How gunicorn serves the app: connections are read and written without a thread, and the app sees
only requests that are all there."""
