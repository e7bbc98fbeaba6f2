"""What the command line can do: each verb is a typed function in a file of its name."""
