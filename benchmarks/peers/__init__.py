"""Other ways to copy values from one server to another, each a program of its own.

They take the same arguments (`benchmarks.peers.options`) and run until they are ended.
"""
