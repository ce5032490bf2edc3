//go:build !race

package tree_test

const spare = 0
