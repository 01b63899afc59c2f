"""Control: accounts, desired state and the API. The only writer of what is wanted; never root."""
