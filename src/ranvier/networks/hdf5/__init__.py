"""HDF5 files of others, read apart."""
