package route

import (
	"cmp"
	"math"
)

// order is the precedence of candidates of one hostname: the lesser is tried first.
func order[A any](a, b *candidate[A]) int {
	return cmp.Or(moreSpecific(a, b), tieBreak(a, b))
}

// moreSpecific orders by what the matches say.
func moreSpecific[A any](a, b *candidate[A]) int {
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	if a.kind == atPrefix && len(a.path) != len(b.path) {
		return cmp.Compare(len(b.path), len(a.path))
	}
	return cmp.Or(
		cmp.Compare(rpcRank(a), rpcRank(b)),
		cmp.Compare(min(1, len(b.match.Method)), min(1, len(a.match.Method))),
		cmp.Compare(len(b.headers), len(a.headers)),
		cmp.Compare(len(b.query), len(a.query)),
	)
}

// rpcRank puts methods of gRPC before paths, which they meet at no hostname.
func rpcRank[A any](c *candidate[A]) int {
	if c.rpc == nil {
		return math.MaxInt
	}
	return c.rpc.rank()
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
