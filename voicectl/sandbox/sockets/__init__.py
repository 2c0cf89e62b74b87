"""WebSocket endpoints: their connections, and the audio in both directions."""
