"""What the process may do: which privileges an option needs, and giving up all others.

Linux splits what root may do into capabilities (capabilities(7)). Wren needs three of them at the
most: CAP_NET_ADMIN, CAP_NET_BIND_SERVICE and, on kernels of before 5.7, CAP_NET_RAW. `needs` is the
table of what needs which, measured on a kernel by the tests; the manual, ``wren doctor`` and every
refusal read it. `capabilities` reads the sets of a process and narrows its own, `dropping` makes
a process what ``wren run`` was asked for, in the only order that works, and `users` finds the user
and group and hands the run directory over.

What is given up never comes back: the bounding set goes with it where we may narrow it, and
no_new_privs keeps programs that we start from gaining anything by a file's mode or capabilities.
Rights belong to a thread, not to a process. So all this is done before the first other thread is
there, but for one: the `nursery`, which keeps what the BFD process is to be born with.
"""
