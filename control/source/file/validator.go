package file

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// validator judges documents. It calls done for each of them, one call after the
// other and in any order. An error means that ctx ended.
type validator interface {
	validate(ctx context.Context, documents []document, done func(index int, v verdict)) error
	// release gives back what was needed for validation, until it is needed again.
	release()
}

// local validates in this process.
type local struct {
	checker *checker
}

func (l *local) validate(ctx context.Context, documents []document, done func(int, verdict)) error {
	if l.checker == nil {
		l.checker = &checker{}
	}
	verdicts := make([]verdict, len(documents))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, doc := range documents {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			verdicts[i] = l.checker.check(doc)
			return nil
		})
	}
	if err := group.Wait(); err != nil || ctx.Err() != nil {
		return ctx.Err()
	}
	for i, v := range verdicts {
		done(i, v)
	}
	return nil
}

func (l *local) release() { l.checker = nil }
