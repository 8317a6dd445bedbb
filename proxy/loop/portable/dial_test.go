package portable_test

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
	"github.com/sluicegateway/sluice/proxy/loop/memnet"
	"github.com/sluicegateway/sluice/proxy/loop/portable"
)

// deaf is a network where nobody answers.
type deaf struct{ *memnet.Network }

func (deaf) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDialEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		want    error
	}{
		{"at its deadline", time.Minute, os.ErrDeadlineExceeded},
		{"with the loop", 3 * time.Hour, loop.ErrStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := portable.New(1, portable.Options{Network: deaf{memnet.New()}})[0]
				time.AfterFunc(time.Hour, l.Stop)
				l.Go(func() {
					if _, err := l.Dial("tcp", "10.0.0.1:80", time.Now().Add(c.timeout)); err != c.want {
						t.Errorf("Dial: %v, want %v", err, c.want)
					}
				})
				if err := l.Run(); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}
