"""What the command line can do: one typed function in a file of its name for each verb."""
