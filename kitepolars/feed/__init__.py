"""The asyncio side: connections, subscriptions, orders. All of it on the loop thread."""
