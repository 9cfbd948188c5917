"""How good rankings are, and how two of them differ: measures, judgements, experiments, replay."""
