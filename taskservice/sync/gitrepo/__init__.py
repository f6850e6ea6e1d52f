"""The git repository that a tasks folder stands in, or that is followed."""
