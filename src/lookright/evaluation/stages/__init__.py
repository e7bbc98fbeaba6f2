"""What an evaluation measures, one file a stage."""
