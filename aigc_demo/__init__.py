"""A studio for small generative models: from a folder of data to the page that people open."""

__version__ = "0.1.0"
