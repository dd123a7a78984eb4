"""What this program promises in numbers: one file a question, each run as `python -m benchmarks.<name> [--quick] [--save]`."""
