"""Files and other tools' objects as sessions."""
