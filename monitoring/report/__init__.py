"""Reports: one HTML file that opens offline, prints, and asks nothing of the network."""
