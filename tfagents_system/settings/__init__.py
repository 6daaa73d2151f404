"""What the user asked for, checked: the JSON, the params file, the curriculum."""
