"""
What faulty disks do to a mirror: real file systems in files, mounted in a container.

Modules that begin with ``test_`` run on the host and start the others in the container.
"""
