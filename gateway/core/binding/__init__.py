"""From a request and an alias state to a stamp: lanes, eligibility, split, tickets."""
