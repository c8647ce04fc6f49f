"""The documented interfaces, row by row: the call that answers for it, and what it must do, with each driver.

    python -m tests.conformance            prints every row with its result, and counts

The interfaces are those of containers/storage, and of Docker's packages layer, image and overlay2.
"""
