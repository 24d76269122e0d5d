"""nnU-Net as a peer: its own data set, its own command line, and its masks back by id."""
