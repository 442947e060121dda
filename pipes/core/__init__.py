"""Pure decisions of the pipes: standard library only, no I/O, no clock; time is an argument."""
