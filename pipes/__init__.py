"""Pipes move values from source to target OPC UA servers and obey the write gate."""
