"""ContactInsert: a plate goes into a slot of a dish holder, by feel."""
