"""How the project is put where it shall live, and the programs that make parts of it."""
