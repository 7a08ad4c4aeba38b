"""How long networks take on a device: measured, summed from their layers, or carried over from other devices."""
