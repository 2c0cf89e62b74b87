"""Conversations as the Conversation API shows them: users, members and events, beside the legs of the exchange."""
