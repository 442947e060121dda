"""REST of the pipes: thin views that read a request, call one service or selector, and answer."""
