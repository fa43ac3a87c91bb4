"""From the text of resources to the plan of one node.

Text becomes documents with positions (`documents`), documents become resources or problems
(`reading`, with `models`, `resources`, `rules`), resources become a set (`store`), a set and a
node's name become a frozen `Plan` (`plan`, `peers`), and two plans become the list of what has to
be done about the difference (`changes`). Nothing here reads a file or a clock; the same functions
serve the running speaker, the watched directory and the commands that only ask *what if*.
"""
