"""What each engine needs to show Arrow tables as its own: translation only."""
