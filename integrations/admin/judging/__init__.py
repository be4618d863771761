"""The Processr's pages: quality and enrichment jobs of a campaign, their groups, what they come to, and lists of values."""
