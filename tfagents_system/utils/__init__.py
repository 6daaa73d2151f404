"""Names that params files of the archived framework import; nothing of ours does."""
