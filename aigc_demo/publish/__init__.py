"""What leaves the studio for other programs and other people: a graph that any runtime draws from, a page that needs no server."""
