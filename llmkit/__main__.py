"""`python -m llmkit` is the command `llmkit`."""

from llmkit.cli.main import main

if __name__ == "__main__":
    main()
