"""The only part of the pipes that speaks OPC UA; nothing outside imports asyncua."""
