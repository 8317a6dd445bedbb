package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// content is what is known of one file.
type content struct {
	position
	info fs.FileInfo
	// text is kept of what can be read only once: standard input and pipes.
	text []byte
	// size is that of the text that the documents are of, in bytes.
	size      int64
	documents []filed
	// problem says why it could not be read; the documents are those of before.
	problem *diagnostic.Diagnostic
	// doubted is when the file was first found to be gone or empty, which may be
	// the middle of its replacement; zero if it is there. The documents are those of
	// before.
	doubted time.Time
	// gone is true of a file that is not listed, and whose objects are kept.
	gone bool
}

// filed is a document in a file.
type filed struct {
	line    int
	digest  digest
	verdict *verdict
}

// grace is how long a file may be gone or empty before its objects are: editors and
// version control replace files in several steps.
const grace = 20 * time.Millisecond

// sameFile is true if nothing suggests that a file changed. It may be wrong about a
// change within the resolution of the file system's clock, so a file that an event
// names is read in any case.
func sameFile(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// readOnce is true of what is gone once it was read.
func (c *content) readOnce() bool {
	return c.info == nil || !c.info.Mode().IsRegular()
}

// load reads the file within what is left of the budget in bytes.
func (c *content) load(ctx context.Context, stdin io.Reader, budget int64) ([]byte, error) {
	if c.text != nil {
		return c.text, nil
	}
	if !c.readOnce() {
		if c.info.Size() > budget {
			return nil, errTooLarge
		}
		return readUpTo(c.path, stdin, budget)
	}
	// Whoever writes may take any time, even to begin.
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := readUpTo(c.path, stdin, budget)
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		c.text = r.text
		return r.text, r.err
	}
}

var errTooLarge = fmt.Errorf("all files together would hold more than %d MiB with it", maxTotal>>20)

// readUpTo reads a file, or standard input, of no more than a number of bytes.
func readUpTo(path string, stdin io.Reader, limit int64) ([]byte, error) {
	input := stdin
	if path != Stdin {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		input = file
	}
	text, err := io.ReadAll(io.LimitReader(input, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > limit:
		return nil, errTooLarge
	}
	return text, nil
}

// fail keeps the documents of before, and says why.
func (c *content) fail(err error) {
	problem := unreadable(c.path, err, keptUntilRead)
	c.problem = &problem
	c.doubted = time.Time{}
}

func isBlank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// obscure is true if there may be objects in the file that are not known.
func (c *content) obscure() bool {
	if c.problem != nil {
		return true
	}
	for _, document := range c.documents {
		if document.verdict.Obscure {
			return true
		}
	}
	return false
}
