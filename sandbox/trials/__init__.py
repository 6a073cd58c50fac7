"""What the sandbox is put through: measured, attacked, worn out."""
