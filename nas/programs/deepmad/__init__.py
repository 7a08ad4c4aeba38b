"""DeepMAD's mathematical program (Shen et al. 2023, arXiv:2303.02165), solved with a proved bound."""
