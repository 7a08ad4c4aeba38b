"""How far predictions can be trusted: held-out trials, calibrated errors, and what follows from them."""
