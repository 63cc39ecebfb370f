"""Models behind HTTP: keys, limits, batches of requests, streams of text. Needs the extra `serve`, never torch."""
