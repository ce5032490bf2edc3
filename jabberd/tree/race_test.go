//go:build race

package tree_test

// spare is how many allocations a test grants: the race detector has pools drop
// what they are given, at random.
const spare = 8
