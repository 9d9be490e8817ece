"""A reader of git repositories that runs no git: references, index, objects, attributes."""
