"""`python -m aigc_demo` is `aigc`."""

from .cli import main

main()
