"""The webhooks of an application: where they go, who lent them out, and sending kept ones again."""
