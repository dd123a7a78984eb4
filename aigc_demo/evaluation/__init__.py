"""What a trained model, or a run that trains one, is worth: measured, and said with its evidence."""
