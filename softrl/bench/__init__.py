"""Speed here: of an update over the floor of its matrix products, of the loop and its parts, of environments."""
