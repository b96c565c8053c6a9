"""Updates of the papers as plain, eager torch code, nothing shared or batched that the papers do not: yardsticks."""
