package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// load is requests that are sent at a fixed rate, whatever becomes of the earlier
// ones (an open loop), half of them on connections of their own.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	requests int
	failures []string
}

// startLoad begins to send the rate of requests per second.
func (c *cluster) startLoad(address, hostname string, rate int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	fresh := newClient(hostname)
	kept := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	l.done.Go(func() {
		next := time.NewTicker(time.Second / time.Duration(rate))
		defer next.Stop()
		for i := 0; ; i++ {
			select {
			case <-next.C:
			case <-ctx.Done():
				return
			}
			client := fresh
			if i%2 == 0 {
				client = kept
			}
			l.done.Go(func() { l.request(client, address, hostname) })
		}
	})
	c.Cleanup(cancel)
	return l
}

func (l *load) request(client *http.Client, address, hostname string) {
	start := time.Now()
	code, err := get(context.Background(), client, address, 80, hostname)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err != nil || code != http.StatusOK {
		l.failures = append(l.failures, fmt.Sprintf("%s: %d %v", start.Format("05.000"), code, err))
	}
}

// stop ends the load and fails the test for each request that failed.
func (l *load) stop(c *cluster) {
	c.Helper()
	l.cancel()
	l.done.Wait()
	if l.requests == 0 {
		c.Error("no request was sent")
	}
	for _, f := range l.failures[:min(len(l.failures), 10)] {
		c.Error(f)
	}
	c.Logf("%d requests, %d failures", l.requests, len(l.failures))
}
