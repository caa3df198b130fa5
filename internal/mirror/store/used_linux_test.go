package store

const usedTimesAreKept = true
