"""Policies tried without a router: routes are judged as the daemon would, and nobody is told.

A `TrialNode` is a node's plan with everything that judges routes and nothing that carries them:
the intake of attributes, the import policies, export rules and rewriting of each session, and
Calico's policy for the kernel are the very objects that an `Exchange` has
(`speaker.rib.session_rules`). What a plan does not tell, since peers and the kernel say it, is
presumed: peers offer what we offer, next hops are reachable, and each route is the best to its
prefix.

`cases` runs test cases against it, `comparing` holds two of them against each other, and
`inventing` makes routes at the borders of their rules.
"""
