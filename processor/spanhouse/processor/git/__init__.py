"""Reader of git repositories without the git executable: references, index, objects, attributes."""
