"""Many runs: which there are, who trains them, what came out."""
