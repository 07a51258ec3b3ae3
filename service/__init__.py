"""The door to sweeps of the Random Quadratic Form: REST service, Python client and command line."""
