package translate

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/snapshot/tree"
)

// routeClaim is a route's claim to hostnames of a listener.
type routeClaim struct {
	route     snapshot.Key
	created   time.Time
	listener  string // by its name in the configuration
	hostnames []string
	// stands says that no rival has a part of it; see rivals.
	stands bool
	// queued says that it is to be decided again.
	queued bool
}

// equal reports whether two claims are decided alike.
func (c *routeClaim) equal(other *routeClaim) bool {
	return c.route == other.route && c.listener == other.listener &&
		c.created.Equal(other.created) && slices.Equal(c.hostnames, other.hostnames)
}

// compareRouteClaims orders claims to a listener by the age of their routes, else
// by namespace and name.
func compareRouteClaims(a, b *routeClaim) int {
	return cmp.Or(
		a.created.Compare(b.created),
		cmp.Compare(a.route.Namespace, b.route.Namespace),
		cmp.Compare(a.route.Name, b.route.Name),
		cmp.Compare(a.route.Kind, b.route.Kind),
	)
}

// describe says who won over the loser, which learns nothing of routes in other
// namespaces but that there is one.
func (c *routeClaim) describe(loser *routeClaim) string {
	name := c.route.String()
	if c.route.Namespace != loser.route.Namespace {
		name = "a route of another namespace"
	}
	if c.created.Equal(loser.created) {
		return name + ", which is first by name"
	}
	return name + ", which is older"
}

// claimIndex finds the claims of one kind that have a part of a hostname.
type claimIndex struct {
	at map[string]claimTree
	// beneath has for each hostname the claims to others that it covers.
	beneath map[string]claimTree
}

// claimTree is claims, the oldest first. Nobody looks at an earlier one, so each is
// one long edit.
type claimTree = tree.Map[*routeClaim, struct{}]

func newClaimIndex() *claimIndex {
	return &claimIndex{map[string]claimTree{}, map[string]claimTree{}}
}

func (x *claimIndex) add(c *routeClaim) {
	x.update(c, func(t claimTree) claimTree { return t.Set(c, struct{}{}) })
}

func (x *claimIndex) remove(c *routeClaim) {
	x.update(c, func(t claimTree) claimTree { return t.Delete(c) })
}

func (x *claimIndex) update(c *routeClaim, change func(claimTree) claimTree) {
	put := func(trees map[string]claimTree, hostname string) {
		before, ok := trees[hostname]
		if !ok {
			before = tree.New[*routeClaim, struct{}](compareRouteClaims).Edit()
		}
		trees[hostname] = change(before)
		if trees[hostname].Len() == 0 {
			delete(trees, hostname)
		}
	}
	for _, hostname := range c.hostnames {
		put(x.at, hostname)
		for key, ok := wider(hostname); ok; key, ok = wider(key) {
			put(x.beneath, key)
		}
	}
}

// overlapping yields the claims that have a part of the hostname, in groups that
// begin with the oldest. Partly says that a group has less than the whole of it.
func (x *claimIndex) overlapping(hostname string) iter.Seq2[claimTree, bool] {
	return func(yield func(t claimTree, partly bool) bool) {
		for key, ok := hostname, true; ok; key, ok = wider(key) {
			if t, found := x.at[key]; found && !yield(t, false) {
				return
			}
		}
		if t, found := x.beneath[hostname]; found {
			yield(t, true)
		}
	}
}

// winner says why a claim of the other kind does not stand beside those of the index,
// which stand; it is empty if it does.
func (x *claimIndex) winner(c *routeClaim) (reason string) {
	var won *routeClaim
	for _, hostname := range c.hostnames {
		for claims, partly := range x.overlapping(hostname) {
			older := oldest(claims, c)
			if older == nil || won != nil && compareRouteClaims(won, older) <= 0 {
				continue
			}
			won = older
			claimed := "claimed"
			if partly {
				claimed = "partly claimed"
			}
			reason = fmt.Sprintf("hostname %s is %s by %s", cmp.Or(hostname, "*"), claimed, won.describe(c))
		}
	}
	return reason
}

// oldest is the first of the claims if it is older than c, or nil.
func oldest(claims claimTree, c *routeClaim) *routeClaim {
	for first := range claims.All() {
		if compareRouteClaims(first, c) < 0 {
			return first
		}
		break
	}
	return nil
}

// younger yields the claims that are younger than one of the other kind and have
// a part of its hostnames, some of them twice.
func (x *claimIndex) younger(c *routeClaim) iter.Seq[*routeClaim] {
	return func(yield func(*routeClaim) bool) {
		for _, hostname := range c.hostnames {
			for claims := range x.overlapping(hostname) {
				for younger := range claims.From(c) {
					if !yield(younger) {
						return
					}
				}
			}
		}
	}
}
