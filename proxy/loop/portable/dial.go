package portable

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/sluicegateway/sluice/proxy/loop"
)

// dial connects, to the deadline or the loop's end at most. It blocks.
func (l *Loop) dial(network, address string, deadline time.Time) (net.Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	dialed := make(chan struct{})
	defer close(dialed)
	go func() {
		select {
		case <-l.stopped:
			cancel()
		case <-dialed:
		}
	}()
	raw, err := l.group.Network.Dial(ctx, network, address)
	switch {
	case l.hasStopped():
		if err == nil {
			_ = raw.Close()
		}
		return nil, loop.ErrStopped
	case err == nil:
		return raw, nil
	case ctx.Err() != nil, isTimeout(err):
		return nil, os.ErrDeadlineExceeded
	}
	return nil, err
}

// isTimeout is for a net.Dialer, which may notice the deadline before the
// context does.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
