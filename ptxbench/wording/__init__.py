"""Sentences, rows and numbers as words, the same in every output: terminal, page, Markdown, CSV. No Rich, no HTML."""
