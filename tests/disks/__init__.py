"""
Real file systems on disks that are files, in a container that may mount them, and what their faults do to a mirror.

Modules that begin with ``test_`` run on the host and start the others in the container.
"""
