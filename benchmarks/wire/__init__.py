"""A server that costs next to nothing: the load of the benches, without an OPC UA library.

It answers the services that a client needs to read by subscription and to write, mostly from
bytes that were made before (OPC 10000-4 and -6). An asyncua server needs some 20 µs for a value,
this one about a tenth of a microsecond, so that what is measured is the bridge.
"""
