"""The kinds of jobs of the Processr: each module here that has a KIND is one. docs/adding-a-job.md says how to add one."""
