package swaptest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// tally counts what the load did and what failed, by cause. Any goroutine may count.
type tally struct {
	requests, uploads, messages atomic.Int64
	// turnedAway are connections that were reset with the listener that they were for.
	turnedAway atomic.Int64

	mu       sync.Mutex
	failures map[string]int
}

// newTally makes a tally that fails the test in the end if anything failed.
func newTally(t *testing.T) *tally {
	c := &tally{failures: map[string]int{}}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, cause := range slices.Sorted(maps.Keys(c.failures)) {
			t.Errorf("%d × %s", c.failures[cause], cause)
		}
	})
	return c
}

// fail counts a failure of who under its cause.
func (c *tally) fail(who string, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures[fmt.Sprintf("%s: %v", who, anonymous(cause))]++
}

// anonymous is err without the addresses in it, so that the same cause is
// counted once.
func anonymous(err error) error {
	if request := (*url.Error)(nil); errors.As(err, &request) {
		err = request.Err
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := 0
	for _, n := range c.failures {
		failed += n
	}
	return fmt.Sprintf("%d requests, %d uploads, %d messages on WebSockets, %d turned away; %d failures",
		c.requests.Load(), c.uploads.Load(), c.messages.Load(), c.turnedAway.Load(), failed)
}
