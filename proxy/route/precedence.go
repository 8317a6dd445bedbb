package route

import (
	"cmp"

	"github.com/sluicegateway/sluice/config"
)

// order is the precedence of candidates of one hostname: the lesser is tried first.
func order[A any](a, b *candidate[A]) int {
	return cmp.Or(moreSpecific(a, b), tieBreak(a, b))
}

// moreSpecific orders by what the matches say.
func moreSpecific[A any](a, b *candidate[A]) int {
	rank := pathRank(a.match.Path.Type)
	if c := cmp.Compare(rank, pathRank(b.match.Path.Type)); c != 0 {
		return c
	}
	if a.match.Path.Type == config.PathPrefix && len(a.path) != len(b.path) {
		return cmp.Compare(len(b.path), len(a.path))
	}
	return cmp.Or(
		cmp.Compare(min(1, len(b.match.Method)), min(1, len(a.match.Method))),
		cmp.Compare(len(b.headers), len(a.headers)),
		cmp.Compare(len(b.query), len(a.query)),
	)
}

// pathRank is the place of a path's type in the order.
func pathRank(t config.PathMatchType) int {
	switch t {
	case config.PathExact:
		return 0
	case config.PathRegex:
		return 1
	}
	return 2
}

// tieBreak orders by where the matches stand.
func tieBreak[A any](a, b *candidate[A]) int {
	return cmp.Or(
		a.route.config.Created.Compare(b.route.config.Created),
		cmp.Compare(a.route.config.Name, b.route.config.Name),
		cmp.Compare(a.rule.Index, b.rule.Index),
		cmp.Compare(a.index, b.index),
	)
}
