"""The filter language: lexer, parser, AST, name resolution, predicates, order."""
