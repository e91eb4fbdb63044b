"""What the benchmarks and ``kitepolars bench`` measure with. Never imported by the rest."""
