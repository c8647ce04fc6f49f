"""Safe file work: publishing, locking, staging, walking, copying and removing, without ever leaving what was named.

Owns what is true of any directory. Must not know what a layer or a record is, nor where anything of a store lies: paths
come in as arguments, failures go out as the errors of `cstore.errors` with the path named.
"""
