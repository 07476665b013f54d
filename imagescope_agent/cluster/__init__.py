"""Work on several machines by Ray (extra `ray`); nothing of Ray is imported until a cluster is joined."""
