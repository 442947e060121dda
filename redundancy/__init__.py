"""Redundancy decides which station may write, until when, in which term."""
