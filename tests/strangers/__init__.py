"""Other people's code on the other side of the wire: what they understand, and what they send, says
whether we and our sandbox speak as the providers do."""
