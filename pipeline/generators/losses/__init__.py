"""Loss terms of the recipes: scalars, computed in float32 whatever the precision of the networks."""
