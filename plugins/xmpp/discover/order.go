package discover

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// order sorts by priority, and shuffles each priority by weight as RFC 2782 says:
// draw a target with a chance of its share in the weights that are left, again and
// again. One without weight is drawn only if the draw falls on zero itself.
func order(targets []Target) {
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	slices.SortStableFunc(targets, func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	for from := 0; from < len(targets); {
		to := from + 1
		for to < len(targets) && targets[to].Priority == targets[from].Priority {
			to++
		}
		draw(targets[from:to])
		from = to
	}
}

// draw wants those without weight in front, as order leaves them.
func draw(targets []Target) {
	total := 0
	for _, t := range targets {
		total += int(t.Weight)
	}
	for ; len(targets) > 1; targets = targets[1:] {
		mark, at := rand.IntN(total+1), 0
		for sum := int(targets[0].Weight); sum < mark; sum += int(targets[at].Weight) {
			at++
		}
		drawn := targets[at]
		copy(targets[1:at+1], targets[:at])
		targets[0] = drawn
		total -= int(drawn.Weight)
	}
}
