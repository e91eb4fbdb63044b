"""The server's side of Kite's protocol: handshakes, requests, clients.

The simulator and the relay serve with it; what they serve is their own.
"""
