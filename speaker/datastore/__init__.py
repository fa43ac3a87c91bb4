"""Where resources come from: each datastore gives whole, valid sets and says what it refused."""
