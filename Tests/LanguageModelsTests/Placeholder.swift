// The tests stand here once they are merged.
