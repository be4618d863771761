"""What a publisher's own people see when they sign in: that publisher's campaigns, and nothing else."""
