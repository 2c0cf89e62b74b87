"""The connections to WebSocket endpoints, and the audio that is sent and received over them."""
