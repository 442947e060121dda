"""Diagnostics watches: events, snapshots, the chronicle, metrics, health."""
