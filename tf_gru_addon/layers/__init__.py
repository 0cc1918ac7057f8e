"""What a user puts in a model: layers that hold weights and config."""
