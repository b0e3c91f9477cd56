"""The pages of the esports pipeline."""
