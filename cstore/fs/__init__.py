"""Safe file work: publishing, locking, staging, walking, copying and removing, without ever leaving what was named.

Owns what is true of any directory. Must not know what a layer or a record is, or where anything in a store is: paths
come in as arguments, failures go out as the errors of `cstore.errors` with the path named.
"""
